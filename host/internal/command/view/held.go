// SPDX-License-Identifier: MPL-2.0

package view

import (
	"context"
	"encoding/json"

	"github.com/hashicorp/vault/api"
)

// Held are values that a former primary has and its successor does not have, or may not have.
type Held struct {
	// ID names values that are kept, and Kept is the time at which they were kept. Both are empty for other values.
	ID   string `json:"id,omitempty"`
	Mode string `json:"mode"`
	Kept string `json:"kept,omitempty"`
	// Exact says of kept values that the successor lacked just these, of others that nothing was written since.
	Exact  bool    `json:"exact"`
	Values int     `json:"values"`
	Places []Place `json:"places"`
}

// Place is how many values are of a mount, or of a part of sys/.
type Place struct {
	Place  string `json:"place"`
	Values int    `json:"values"`
}

// Holdings are what a cluster has of its own as a former primary.
type Holdings struct {
	Kept    []Held `json:"kept"`
	NotKept []Held `json:"not_kept"`
}

// KeptPath is where a cluster answers what it keeps. A DR secondary has it elsewhere, and wants an operation token.
func (c *Cluster) KeptPath(what string) (path string, operation bool) {
	if c.DR.Role == Secondary {
		return "sys/replication/dr/secondary/kept/" + what, true
	}
	return "sys/replication/kept/" + what, false
}

// Holdings asks a cluster for them. They are nil if it does not tell them to these tokens.
func (c *Cluster) Holdings(ctx context.Context, client *api.Client, operationToken string) *Holdings {
	path, operation := c.KeptPath("list")
	params := map[string]any{}
	token := client.Token()
	if operation {
		token = operationToken
		params["dr_operation_token"] = operationToken
	}
	if c.Error != "" || c.Sealed || token == "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, askLimit)
	defer cancel()
	secret, err := client.Logical().WriteWithContext(ctx, path, params)
	if err != nil || secret == nil {
		return nil
	}
	raw, err := json.Marshal(secret.Data)
	held := new(Holdings)
	if err != nil || json.Unmarshal(raw, held) != nil {
		return nil
	}
	return held
}
