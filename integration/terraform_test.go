// SPDX-License-Identifier: MPL-2.0

package integration_test

import (
	"encoding/json"
	"testing"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/gohcl"
	"github.com/hashicorp/hcl/v2/hclparse"
	"github.com/stretchr/testify/require"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
	"github.com/zclconf/go-cty/cty/function/stdlib"

	"github.com/vault-replication/vault-replication/integration/cluster"
)

// endpoint is a resource vault_generic_endpoint, whose expressions are not evaluated yet.
type endpoint struct {
	Type   string         `hcl:"type,label"`
	Name   string         `hcl:"name,label"`
	Path   string         `hcl:"path"`
	Data   hcl.Expression `hcl:"data_json"`
	Fields []string       `hcl:"write_fields,optional"`
	Read   bool           `hcl:"disable_read"`
	Delete bool           `hcl:"disable_delete"`
	Rest   hcl.Body       `hcl:",remain"`
}

// Each resource of the example makes the request that the provider makes, in the order of the file, and hands on what
// the provider hands on: fields of the answer's data.
func TestTerraformOfTheDocuments(t *testing.T) {
	parallel(t)
	ctx := t.Context()
	east, west := clusters(t, cluster.Options{})
	file, found := hclparse.NewParser().ParseHCLFile("../deploy/terraform/main.tf")
	require.False(t, found.HasErrors(), "%s", found)
	var content struct {
		Resources []endpoint `hcl:"resource,block"`
		Rest      hcl.Body   `hcl:",remain"`
	}
	found = gohcl.DecodeBody(file.Body, nil, &content)
	require.False(t, found.HasErrors(), "%s", found)
	require.Len(t, content.Resources, 4)

	known := map[string]cty.Value{}
	for _, r := range content.Resources {
		require.Equal(t, "vault_generic_endpoint", r.Type)
		require.True(t, r.Read && r.Delete, "%s is an action: it can be neither read nor deleted", r.Name)
		data, found := r.Data.Value(&hcl.EvalContext{
			Functions: map[string]function.Function{"jsonencode": stdlib.JSONEncodeFunc},
			Variables: map[string]cty.Value{
				"var":                    cty.ObjectVal(map[string]cty.Value{"primary_cluster_addr": cty.StringVal("")}),
				"vault_generic_endpoint": cty.ObjectVal(known),
			},
		})
		require.False(t, found.HasErrors(), "%s: %s", r.Name, found)
		var body map[string]any
		require.NoError(t, json.Unmarshal([]byte(data.AsString()), &body))
		answer, err := providerOf(t, r, east, west).Node(0).APIClient().Logical().WriteWithContext(ctx, r.Path, body)
		require.NoError(t, err, r.Name)
		fields := map[string]cty.Value{}
		for _, name := range r.Fields {
			text, ok := answer.Data[name].(string)
			require.True(t, ok, "the answer to %s has no field %s", r.Path, name)
			fields[name] = cty.StringVal(text)
		}
		known[r.Name] = cty.ObjectVal(map[string]cty.Value{"write_data": cty.ObjectVal(fields)})
	}
	west.Adopt(east)
	require.NoError(t, west.Node(0).WaitStreaming(ctx))
	require.NoError(t, west.WaitEqual(ctx, east))
}

// providerOf is the cluster that a resource's provider has the alias of.
func providerOf(t *testing.T, r endpoint, east, west *cluster.Cluster) *cluster.Cluster {
	t.Helper()
	rest, found := r.Rest.JustAttributes()
	require.False(t, found.HasErrors(), "%s", found)
	provider, found := hcl.AbsTraversalForExpr(rest["provider"].Expr)
	require.False(t, found.HasErrors(), "%s", found)
	require.Len(t, provider, 2)
	alias, ok := provider[1].(hcl.TraverseAttr)
	require.True(t, ok)
	of := map[string]*cluster.Cluster{"east": east, "west": west}[alias.Name]
	require.NotNil(t, of, alias.Name)
	return of
}
