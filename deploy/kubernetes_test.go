// SPDX-License-Identifier: MPL-2.0

package deploy

import (
	"bytes"
	"strings"
	"testing"

	"github.com/hashicorp/hcl"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	kubejson "sigs.k8s.io/json"
	"sigs.k8s.io/yaml"
)

// values is what the chart is given, checked against the schema.
func values(t *testing.T, text string) (map[string]any, error) {
	t.Helper()
	form, err := jsonschema.UnmarshalJSON(strings.NewReader(read(t, "kubernetes/values.schema.json")))
	require.NoError(t, err)
	compiler := jsonschema.NewCompiler()
	require.NoError(t, compiler.AddResource("values.schema.json", form))
	schema, err := compiler.Compile("values.schema.json")
	require.NoError(t, err)
	asJSON, err := yaml.YAMLToJSONStrict([]byte(text))
	require.NoError(t, err)
	found, err := jsonschema.UnmarshalJSON(bytes.NewReader(asJSON))
	require.NoError(t, err)
	all, ok := found.(map[string]any)
	require.True(t, ok)
	return all, schema.Validate(found)
}

func TestValuesAreThoseOfTheChart(t *testing.T) {
	t.Parallel()
	text := read(t, "kubernetes/values.yaml")
	_, err := values(t, text)
	require.NoError(t, err)
	for _, typo := range []string{"readinessProb:", "readinessprobe:"} {
		_, err = values(t, strings.Replace(text, "readinessProbe:", typo, 1))
		require.ErrorContains(t, err, strings.TrimSuffix(typo, ":"))
	}
}

// What the values, the configuration in them, the image and the service say of each other.
func TestValuesFitImageAndService(t *testing.T) {
	t.Parallel()
	var v struct {
		Server struct {
			HA struct {
				Replicas int
				Raft     struct{ Config string }
			}
			VolumeMounts []struct{ MountPath string }
		}
	}
	require.NoError(t, yaml.Unmarshal([]byte(read(t, "kubernetes/values.yaml")), &v))
	var config struct {
		DisableMlock bool `hcl:"disable_mlock"`
		Listener     map[string]struct {
			Cert string `hcl:"tls_cert_file"`
		}
		Storage map[string]struct {
			Path string
		}
		Replication []struct {
			Directory string `hcl:"plugin_directory"`
		}
		Registration map[string]map[string]any `hcl:"service_registration"`
	}
	require.NoError(t, hcl.Decode(&config, v.Server.HA.Raft.Config))
	require.True(t, config.DisableMlock, "a container may not lock memory")
	require.Equal(t, v.Server.HA.Replicas, strings.Count(v.Server.HA.Raft.Config, "retry_join {"))
	require.Equal(t, "/vault/data", config.Storage["raft"].Path, "where the chart mounts the volume")
	require.Len(t, v.Server.VolumeMounts, 1)
	require.Contains(t, config.Listener["tcp"].Cert, v.Server.VolumeMounts[0].MountPath)
	require.Contains(t, config.Registration, "kubernetes", "without it no pod has the label vault-active")
	require.Len(t, config.Replication, 1)
	require.Contains(t, read(t, "container/Containerfile"),
		"ENV VAULT_REPLICATION_PLUGIN_DIR="+config.Replication[0].Directory+"\n")
}

// strictly reads a document as the API of Kubernetes does: an unknown field is an error, and case counts.
func strictly(t *testing.T, document string, into any) {
	t.Helper()
	asJSON, err := yaml.YAMLToJSONStrict([]byte(document))
	require.NoError(t, err)
	unknown, err := kubejson.UnmarshalStrict(asJSON, into)
	require.NoError(t, err)
	require.Empty(t, unknown)
}

func TestClusterPortLeadsToTheActivePod(t *testing.T) {
	t.Parallel()
	documents := strings.Split(read(t, "kubernetes/cluster-port.yaml"), "\n---\n")
	require.Len(t, documents, 2)
	var service corev1.Service
	strictly(t, documents[0], &service)
	require.Equal(t, "Service", service.Kind)
	require.Equal(t, "true", service.Spec.Selector["vault-active"])
	require.Equal(t, "server", service.Spec.Selector["component"])
	require.True(t, service.Spec.PublishNotReadyAddresses)
	require.Len(t, service.Spec.Ports, 1)
	require.EqualValues(t, 8201, service.Spec.Ports[0].Port)
	require.Equal(t, 8201, service.Spec.Ports[0].TargetPort.IntValue())

	var policy networkingv1.NetworkPolicy
	strictly(t, documents[1], &policy)
	require.Equal(t, "NetworkPolicy", policy.Kind)
	require.Subset(t, service.Spec.Selector, policy.Spec.PodSelector.MatchLabels)
}
