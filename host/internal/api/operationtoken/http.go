// SPDX-License-Identifier: MPL-2.0

package operationtoken

import (
	"context"
	"encoding/json"
	"io"
	"net/http"

	"github.com/vault-replication/vault-replication/host/internal/api/answer"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// Paths that [Handler] serves.
const (
	AttemptPath = "/v1/sys/replication/dr/secondary/generate-operation-token/attempt"
	UpdatePath  = "/v1/sys/replication/dr/secondary/generate-operation-token/update"
)

// bodyMax bounds a request in bytes; the largest thing in one is a PGP key.
const bodyMax = 512 << 10

type initRequest struct {
	OTP    string `json:"otp"`
	PGPKey string `json:"pgp_key"`
}

type updateRequest struct {
	Nonce string     `json:"nonce"`
	Key   secretText `json:"key"`
}

// statusResponse is the wire format of generate-root, field by field.
type statusResponse struct {
	Nonce            string `json:"nonce"`
	Started          bool   `json:"started"`
	Progress         int    `json:"progress"`
	Required         int    `json:"required"`
	Complete         bool   `json:"complete"`
	EncodedToken     string `json:"encoded_token"`
	EncodedRootToken string `json:"encoded_root_token"`
	PGPFingerprint   string `json:"pgp_fingerprint"`
	OTP              string `json:"otp"`
	OTPLength        int    `json:"otp_length"`
}

// Handler serves [AttemptPath] and [UpdatePath]. The caller makes sure that the node is the
// active one of a DR secondary. As with generate-root no token is asked for: the shares are
// the authority. So anybody who reaches the API can begin or cancel an attempt, or give
// wrong shares. A DR secondary has no audit devices, so each call is logged with the
// client's address: whoever disturbs an operator leaves a trace.
func Handler(c *Collector) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		switch update, m := r.URL.Path == UpdatePath, r.Method; {
		case !update && m == http.MethodGet:
			serveStatus(w, r, c)
		case !update && m == http.MethodDelete:
			if c.Cancel() {
				c.logger.Warn("the generation of a DR operation token was cancelled", "client", r.RemoteAddr)
			}
			w.WriteHeader(http.StatusNoContent)
		case !update && (m == http.MethodPost || m == http.MethodPut):
			serveInit(w, r, c)
		case update && (m == http.MethodPost || m == http.MethodPut):
			serveUpdate(w, r, c)
		default:
			answer.Refuse(w, http.StatusMethodNotAllowed)
		}
	})
}

func serveStatus(w http.ResponseWriter, r *http.Request, c *Collector) {
	status, err := c.Status(r.Context())
	if err != nil {
		respondError(w, err)
		return
	}
	answer.JSON(w, http.StatusOK, wire(*status))
}

func serveInit(w http.ResponseWriter, r *http.Request, c *Collector) {
	var req initRequest
	if _, err := readBody(w, r, &req, true); err != nil {
		respondError(w, err)
		return
	}
	status, otp, err := c.Begin(r.Context(), req.OTP, req.PGPKey)
	if err != nil {
		c.logger.Warn("the generation of a DR operation token was not started", "client", r.RemoteAddr, "error", err)
		respondError(w, err)
		return
	}
	c.logger.Info("the generation of a DR operation token was started", "client", r.RemoteAddr)
	resp := wire(*status)
	resp.OTP = otp
	answer.JSON(w, http.StatusOK, resp)
}

func serveUpdate(w http.ResponseWriter, r *http.Request, c *Collector) {
	var req updateRequest
	body, err := readBody(w, r, &req, false)
	defer clear(body)
	defer func() { clear(req.Key) }()
	if err != nil {
		respondError(w, err)
		return
	}
	if len(req.Key) == 0 {
		respondError(w, replication.Errorf(replication.InvalidInput, "'key' must be specified in request body as JSON"))
		return
	}
	share, err := decodeShare(req.Key)
	if err != nil {
		respondError(w, err)
		return
	}
	// A client that goes away must not leave behind a stored token that nobody has, or an
	// attempt that is half dropped.
	result, err := c.Provide(context.WithoutCancel(r.Context()), share, req.Nonce)
	if err != nil {
		c.logger.Warn("a key share for a DR operation token was refused", "client", r.RemoteAddr, "error", err)
		respondError(w, err)
		return
	}
	c.logger.Info("a key share for a DR operation token was given", "client", r.RemoteAddr,
		"shares", result.Progress, "required", result.Required, "complete", result.Complete)
	resp := wire(result.Status)
	resp.Complete = result.Complete
	resp.EncodedToken = result.EncodedToken
	answer.JSON(w, http.StatusOK, resp)
}

func wire(s Status) statusResponse {
	return statusResponse{
		Nonce:          s.Nonce,
		Started:        s.Started,
		Progress:       s.Progress,
		Required:       s.Required,
		PGPFingerprint: s.PGPFingerprint,
		OTPLength:      tokenLength,
	}
}

// readBody reads one JSON object. The returned bytes may hold a secret.
func readBody(w http.ResponseWriter, r *http.Request, into any, emptyAllowed bool) ([]byte, error) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, bodyMax))
	if err != nil {
		return body, replication.Errorf(replication.InvalidInput, "the request body cannot be read, or is larger than %d "+
			"bytes", bodyMax)
	}
	if len(body) == 0 && emptyAllowed {
		return body, nil
	}
	if err := json.Unmarshal(body, into); err != nil {
		// The cause could quote a share.
		return body, replication.Errorf(replication.InvalidInput, "the request body is not the JSON object that is "+
			"expected here")
	}
	return body, nil
}

// respondError answers as generate-root does: refusals are 400.
func respondError(w http.ResponseWriter, err error) {
	status := http.StatusInternalServerError
	switch replication.KindOf(err) {
	case replication.InvalidInput, replication.Denied:
		status = http.StatusBadRequest
	case replication.Unavailable:
		status = http.StatusServiceUnavailable
	}
	answer.Refuse(w, status, err.Error())
}
