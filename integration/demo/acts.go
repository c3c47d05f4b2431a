// SPDX-License-Identifier: MPL-2.0

package main

import (
	"context"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/vault-replication/vault-replication/integration/cluster"
)

// each runs commands on one cluster.
func (t *theatre) each(ctx context.Context, c *cluster.Cluster, commands ...[]string) error {
	for _, args := range commands {
		if _, err := t.vault(ctx, c, args...); err != nil {
			return err
		}
	}
	return nil
}

const policy = `path "secret/data/app/*" { capabilities = ["read", "create", "update"] }`

func (t *theatre) fill(ctx context.Context) error {
	title("east is in use: a secret, a policy, a login, and an application with a token")
	// The policy is read from standard input by operators; a file does the same.
	if err := t.each(ctx, t.east,
		[]string{"secrets", "enable", "-path=secret", "kv-v2"},
		[]string{"kv", "put", "-mount=secret", "app/db", "user=app", "password=correct-horse"},
		[]string{"write", "sys/policies/acl/app", "policy=" + policy},
		[]string{"auth", "enable", "userpass"},
		[]string{"write", "auth/userpass/users/alice", "password=wonderland", "token_policies=app"},
	); err != nil {
		return err
	}
	out, err := t.vault(ctx, t.east, "token", "create", "-policy=app", "-ttl=1h", "-field=token")
	t.appToken = strings.TrimSpace(out)
	return err
}

func (t *theatre) connect(ctx context.Context) error {
	title("west becomes a disaster-recovery secondary of east")
	if err := t.each(ctx, t.east, []string{"write", "-f", cluster.PathPrimaryEnable}); err != nil {
		return err
	}
	if err := t.east.Node(0).WaitRole(ctx, "primary"); err != nil {
		return err
	}
	out, err := t.vault(ctx, t.east, "write", cluster.PathSecondaryToken, "id=west")
	if err != nil {
		return err
	}
	token, err := column(out, "wrapping_token")
	if err != nil {
		return err
	}
	if _, err := t.vault(ctx, t.west, "write", cluster.PathSecondaryEnable, "token="+token,
		"ca_file="+t.east.GetCACertPEMFile()); err != nil {
		return err
	}
	t.west.Adopt(t.east)
	if err := t.west.Node(0).WaitRole(ctx, "secondary"); err != nil {
		return err
	}
	return t.west.Node(0).WaitStreaming(ctx)
}

func (t *theatre) arrive(ctx context.Context) error {
	title("What is written on east arrives on west while it is written")
	if err := t.each(ctx, t.east, []string{"kv", "put", "-mount=secret", "app/late",
		"written=after-west-joined"}); err != nil {
		return err
	}
	if err := t.west.WaitEqual(ctx, t.east); err != nil {
		return err
	}
	for _, c := range []*cluster.Cluster{t.east, t.west} {
		if _, err := t.vaultAs(ctx, c, "", "read", cluster.PathStatus); err != nil {
			return err
		}
	}
	title("west serves nobody as long as it is a secondary")
	if _, err := t.vaultAs(ctx, t.west, t.appToken, "kv", "get", "-mount=secret", "app/db"); err == nil {
		return fmt.Errorf("the DR secondary served a secret")
	}
	return nil
}

func (t *theatre) disaster(ctx context.Context) error {
	title("Disaster: east is killed")
	fmt.Printf("\n$ kill -9 %d\n", t.east.Node(0).PID())
	return t.east.Node(0).Kill(ctx)
}

func (t *theatre) promote(ctx context.Context) error {
	title("Two holders of key shares make a DR operation token on west, and west is promoted")
	out, err := t.vaultAs(ctx, t.west, "", "operator", "generate-root", "-dr-token", "-init")
	if err != nil {
		return err
	}
	nonce, err := column(out, "Nonce")
	if err != nil {
		return err
	}
	otp, err := column(out, "OTP")
	if err != nil {
		return err
	}
	for _, key := range t.east.GetBarrierKeys()[:2] {
		if out, err = t.vaultAs(ctx, t.west, "", "operator", "generate-root", "-dr-token", "-nonce="+nonce,
			hex.EncodeToString(key)); err != nil {
			return err
		}
	}
	encoded, err := column(out, "Encoded Token")
	if err != nil {
		return err
	}
	token, err := t.vaultAs(ctx, t.west, "", "operator", "generate-root", "-dr-token", "-decode="+encoded, "-otp="+otp)
	if err != nil {
		return err
	}
	if _, err := t.vaultAs(ctx, t.west, "", "write", cluster.PathSecondaryPromote,
		"dr_operation_token="+strings.TrimSpace(token)); err != nil {
		return err
	}
	return t.west.Node(0).WaitRole(ctx, "primary")
}

func (t *theatre) goOn(ctx context.Context) error {
	title("The application goes on with the token it had, and alice with her password")
	for path, want := range map[string]string{"app/db": "correct-horse", "app/late": "after-west-joined"} {
		out, err := t.vaultAs(ctx, t.west, t.appToken, "kv", "get", "-mount=secret", path)
		if err != nil {
			return err
		}
		if !strings.Contains(out, want) {
			return fmt.Errorf("%s does not hold %q", path, want)
		}
	}
	if _, err := t.vaultAs(ctx, t.west, t.appToken, "kv", "put", "-mount=secret", "app/new",
		"written=on-west"); err != nil {
		return err
	}
	_, err := t.vaultAs(ctx, t.west, "", "login", "-no-store", "-method=userpass", "username=alice", "password=wonderland")
	return err
}
