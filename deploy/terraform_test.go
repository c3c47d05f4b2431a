// SPDX-License-Identifier: MPL-2.0

package deploy

import (
	"path/filepath"
	"testing"

	"github.com/hashicorp/hcl/v2/hclparse"
	"github.com/hashicorp/hcl/v2/hclwrite"
	"github.com/stretchr/testify/require"
)

func TestTerraformIsParsedAndFormatted(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("terraform/*.tf")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		_, found := hclparse.NewParser().ParseHCLFile(file)
		require.False(t, found.HasErrors(), "%s", found)
		text := read(t, file)
		require.Equal(t, string(hclwrite.Format([]byte(text))), text, "%s: run terraform fmt", file)
	}
}
