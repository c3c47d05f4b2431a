// SPDX-License-Identifier: MPL-2.0

// Package rolequery asks the API of another cluster which role it has, without a token. A
// secondary asks so before its promotion whether the primary is alive.
package rolequery

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/vault-replication/vault-replication/shared/replication"
)

const (
	// timeout bounds one question, answerMax its answer in bytes.
	timeout   = 5 * time.Second
	answerMax = 1 << 20
)

// Ask asks an API for the role in a mode. It reads the replication status, and the health
// where the status does not answer, as on a node between two leaders. Unreachable when
// neither tells a role.
func Ask(ctx context.Context, mode replication.Mode, apiAddr string) (*replication.RoleAtAnswer, error) {
	u, err := url.Parse(apiAddr)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "" || u.User != nil {
		return nil, replication.Errorf(replication.InvalidInput, "%q is not the URL of an API", apiAddr)
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	transport := &http.Transport{
		// The certificate is not verified, on purpose. The API may have any authority,
		// nothing secret is sent, and the answer can only make a promotion more careful. An
		// attacker who could forge "not a primary" could as well cut the network.
		TLSClientConfig:   &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: true}, //nolint:gosec // said above
		DialContext:       (&net.Dialer{}).DialContext,
		DisableKeepAlives: true,
	}
	q := query{base: u, client: &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	if a := q.status(ctx, mode); a != nil {
		return a, nil
	}
	if a := q.health(ctx, mode); a != nil {
		return a, nil
	}
	return nil, replication.Errorf(replication.Unreachable, "the API at %s does not say which role it has", apiAddr)
}

type query struct {
	base   *url.URL
	client *http.Client
}

func (q query) status(ctx context.Context, mode replication.Mode) *replication.RoleAtAnswer {
	var body struct {
		Data struct {
			Mode        string `json:"mode"`
			ClusterID   string `json:"cluster_id"`
			SecondaryID string `json:"secondary_id"`
		} `json:"data"`
	}
	if code := q.get(ctx, "sys/replication/"+string(mode)+"/status", &body); code != http.StatusOK ||
		body.Data.Mode == "" {
		return nil
	}
	return &replication.RoleAtAnswer{Role: replication.Role(body.Data.Mode), ClusterID: body.Data.ClusterID,
		SecondaryID: body.Data.SecondaryID}
}

// health tells of a primary alone. For any other cluster it would not say which role it
// has.
func (q query) health(ctx context.Context, mode replication.Mode) *replication.RoleAtAnswer {
	var body map[string]any
	if q.get(ctx, "sys/health", &body) == 0 || body["initialized"] != true || body["sealed"] == true ||
		body["replication_"+string(mode)+"_mode"] != string(replication.Primary) {
		return nil
	}
	return &replication.RoleAtAnswer{Role: replication.Primary}
}

// get reads the answer of a path. It returns 0 if the answer is not Vault's.
func (q query) get(ctx context.Context, path string, into any) (code int) {
	u := *q.base
	u.Path, u.RawQuery, u.Fragment = strings.TrimSuffix(u.Path, "/")+"/v1/"+path, "", ""
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return 0
	}
	resp, err := q.client.Do(req)
	if err != nil {
		return 0
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(resp.Body, answerMax))
	if err != nil || json.Unmarshal(raw, into) != nil {
		return 0
	}
	return resp.StatusCode
}
