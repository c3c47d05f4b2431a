// SPDX-License-Identifier: MPL-2.0

package serving

import (
	"context"
	"errors"
	"time"

	"github.com/armon/go-metrics"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/vault-replication/vault-replication/host/internal/entity"
	"github.com/vault-replication/vault-replication/host/internal/forward"
	"github.com/vault-replication/vault-replication/host/internal/forward/wire"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// Timer takes durations: Vault's telemetry, which adds the name of the cluster and also counts them.
type Timer interface {
	MeasureSinceWithLabels(key []string, start time.Time, labels []metrics.Label)
}

// clientNames and serverNames are what Vault Enterprise calls the calls from a secondary to its primary, seen from
// either side.
var (
	clientNames = map[forward.Kind]string{
		forward.KindRequest: "forward", entity.KindEnsure: "persist_alias", entity.KindCreate: "persist_alias",
		entity.KindGroups: "upsert_group", entity.KindMembers: "upsert_group",
	}
	serverNames = map[forward.Kind]string{
		forward.KindRequest: "forwarding_request", entity.KindEnsure: "persist_alias_request",
		entity.KindCreate: "persist_alias_request", entity.KindGroups: "upsert_group_request",
		entity.KindMembers: "upsert_group_request",
	}
)

// asked measures a call to the primary.
func (s *Server) asked(kind forward.Kind, begun time.Time, refused, err error) {
	s.Metrics.MeasureSinceWithLabels([]string{"replication", "rpc", "client", clientNames[kind]}, begun,
		[]metrics.Label{{Name: "result", Value: outcome(refused, err)}})
}

// carriedOut measures a call of a secondary. secondary is empty for an unproven one, because each name makes a series.
func (s *Server) carriedOut(kind forward.Kind, secondary string, begun time.Time, refused, err error) {
	labels := []metrics.Label{{Name: "result", Value: outcome(refused, err)}}
	if secondary != "" {
		labels = append(labels, metrics.Label{Name: "secondary", Value: secondary})
	}
	s.Metrics.MeasureSinceWithLabels([]string{"replication", "rpc", "server", serverNames[kind]}, begun, labels)
}

// outcome says how a call ended. An error of a backend is an answer. A coded error means that the primary refused to
// carry the request out.
func outcome(answered, err error) string {
	var refused *logical.ReplicationCodedError
	switch kind := replication.KindOf(err); {
	case err == nil && !errors.As(answered, &refused):
		return "answered"
	case err == nil || kind == replication.Denied || kind == replication.InvalidInput:
		return "refused"
	case kind == replication.Unreachable || kind == replication.Unavailable:
		return "unreachable"
	}
	return "failed"
}

// waited measures a wait for rows of the primary.
func (s *Server) waited(ctx context.Context, at replication.Position) error {
	begun, result := time.Now(), "arrived"
	err := s.Set.WaitApplied(ctx, at)
	if err != nil {
		result = "ran_out"
	}
	s.Metrics.MeasureSinceWithLabels([]string{"replication", "wait"}, begun,
		[]metrics.Label{{Name: "kind", Value: "forwarded"}, {Name: "result", Value: result}})
	return err
}

// carryOut carries out a request of a secondary.
type carryOut func(ctx context.Context, secondary string, req *wire.Request) *wire.Answer

// measuredRequests measures a carryOut.
func (s *Server) measuredRequests(handle carryOut) carryOut {
	return func(ctx context.Context, secondary string, req *wire.Request) *wire.Answer {
		begun := time.Now()
		answer := handle(ctx, secondary, req)
		s.carriedOut(forward.KindRequest, secondary, begun, answer.Err, nil)
		return answer
	}
}

// measured measures a handler of another kind.
func (s *Server) measured(kind forward.Kind, handle forward.Handler) forward.Handler {
	return func(ctx context.Context, secondary string, body []byte) ([]byte, error) {
		begun := time.Now()
		answer, err := handle(ctx, secondary, body)
		s.carriedOut(kind, secondary, begun, nil, err)
		return answer, err
	}
}
