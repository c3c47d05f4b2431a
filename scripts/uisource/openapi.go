// SPDX-License-Identifier: MPL-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"time"
)

// The engines and methods whose operations the page may call, mounted where the names of the operations that
// HashiCorp generates come from.
const (
	authTypes = "alicloud approle aws azure cert cf gcp github jwt kerberos kubernetes ldap oci okta radius userpass"
	mountType = "alicloud aws azure consul database gcp gcpkms kubernetes ldap mongodbatlas nomad pki rabbitmq ssh " +
		"terraform totp transit"
)

// document asks a development server for its OpenAPI document. That of stock Vault will do: replication adds nothing
// that the page calls by it, so that it is the same for each build of one version.
func document(ctx context.Context, binary string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	address, err := freeAddress(ctx)
	if err != nil {
		return nil, err
	}
	server := exec.CommandContext(ctx, binary, "server", "-dev", "-dev-no-store-token", "-dev-root-token-id=root",
		"-dev-listen-address="+address)
	server.Cancel = func() error { return server.Process.Signal(os.Interrupt) }
	server.WaitDelay = 10 * time.Second
	var said bytes.Buffer
	server.Stdout, server.Stderr = &said, &said
	if err := server.Start(); err != nil {
		return nil, err
	}
	ended := make(chan struct{})
	go func() {
		_ = server.Wait()
		close(ended)
	}()
	doc, err := ask(ctx, "http://"+address+"/v1/", ended)
	cancel()
	<-ended
	if err != nil {
		return nil, fmt.Errorf("%s gives no OpenAPI document: %w\n%s", binary, err, said.String())
	}
	return doc, nil
}

func freeAddress(ctx context.Context) (string, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

func ask(ctx context.Context, api string, ended <-chan struct{}) ([]byte, error) {
	for {
		if _, err := call(ctx, http.MethodGet, api+"sys/mounts", nil); err == nil {
			break
		}
		select {
		case <-ended:
			return nil, errors.New("the server did not start")
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
	if _, err := call(ctx, http.MethodDelete, api+"sys/mounts/secret", nil); err != nil {
		return nil, err
	}
	mounts := map[string]map[string]any{
		"sys/mounts/kv-v1": {"type": "kv", "options": map[string]string{"version": "1"}},
		"sys/mounts/kv-v2": {"type": "kv", "options": map[string]string{"version": "2"}},
	}
	for kind := range strings.FieldsSeq(authTypes) {
		mounts["sys/auth/"+kind] = map[string]any{"type": kind}
	}
	for kind := range strings.FieldsSeq(mountType) {
		mounts["sys/mounts/"+kind] = map[string]any{"type": kind}
	}
	for path, body := range mounts {
		if _, err := call(ctx, http.MethodPost, api+path, body); err != nil {
			return nil, err
		}
	}
	return call(ctx, http.MethodPost, api+"sys/internal/specs/openapi", map[string]any{"generic_mount_paths": true})
}

func call(ctx context.Context, method, url string, body any) ([]byte, error) {
	text, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	req.Header.Set("X-Vault-Token", "root")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	answer, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode >= http.StatusBadRequest {
		err = fmt.Errorf("%s %s: %s: %s", method, url, resp.Status, answer)
	}
	return answer, err
}
