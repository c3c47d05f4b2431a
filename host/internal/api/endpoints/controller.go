// SPDX-License-Identifier: MPL-2.0

package endpoints

import (
	"context"
	"time"

	"github.com/hashicorp/vault/sdk/logical"

	"github.com/vault-replication/vault-replication/host/activation"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// These methods run inside a request, on the active node, while Vault's core holds its state lock for reading. A change
// of role takes that lock for writing, so it goes on after the method has returned, with a context of its own.
//
// The endpoints check the role before they call. The change itself checks it again, because two requests can race.
// Errors are of the contract ([replication.Error]). Warnings are shown beside the endpoint's own.

// Controller is what a cluster can be asked for in any role.
type Controller interface {
	// Role is the role now, from memory: it must not block.
	Role(mode replication.Mode) replication.Role
	// Inert says whether the engines of this cluster are inert and its tokens unknown: it
	// is a DR secondary, or has not ended its first copy.
	Inert() bool
	// Status must not wait for another cluster.
	Status(ctx context.Context, mode replication.Mode) (*ModeStatus, error)
	Recover(ctx context.Context, mode replication.Mode) (warnings []string, err error)
	// Reindex computes the index of the content anew, in the background. The present index
	// serves until then, unless forget is set.
	Reindex(ctx context.Context, mode replication.Mode, forget bool) error
	// CheckIndex compares the index with the storage.
	CheckIndex(ctx context.Context, mode replication.Mode) (*IndexReport, error)
}

// Primary is what a primary can be asked for, or a cluster that is to become one.
type Primary interface {
	EnablePrimary(ctx context.Context, mode replication.Mode, req replication.EnablePrimaryRequest) (warnings []string,
		err error)
	DemotePrimary(ctx context.Context, mode replication.Mode) (warnings []string, err error)
	DisablePrimary(ctx context.Context, mode replication.Mode) (warnings []string, err error)
	// SecondaryToken registers the secondary and returns the payload of its activation token. The endpoint sets Mode and
	// ID in it.
	SecondaryToken(ctx context.Context, mode replication.Mode, req replication.SecondaryTokenRequest) (
		payload *activation.Payload, warnings []string, err error)
	RevokeSecondary(ctx context.Context, mode replication.Mode, req replication.RevokeSecondaryRequest) (warnings []string,
		err error)
}

// Secondary is what a secondary can be asked for, or a cluster that is to become one.
type Secondary interface {
	// EnableSecondary joins the cluster of the payload; its token is spent. If this cluster has writes that the primary
	// lacks, keep keeps them; without keep the call is refused.
	EnableSecondary(ctx context.Context, mode replication.Mode, payload *activation.Payload, keep bool) (
		warnings []string, err error)
	PromoteSecondary(ctx context.Context, mode replication.Mode, req PromoteRequest) (warnings []string, err error)
	DisableSecondary(ctx context.Context, mode replication.Mode, consume Consume) (warnings []string, err error)
	UpdatePrimary(ctx context.Context, mode replication.Mode, req UpdatePrimaryRequest) (warnings []string, err error)
	// GeneratePublicKey makes the key that the next activation token of a mode can be encrypted to. It replaces the former
	// one.
	GeneratePublicKey(ctx context.Context, mode replication.Mode) (publicKey string, err error)
	// OpenActivation opens a token that was encrypted to that key. The key stays until a change with
	// it has succeeded.
	OpenActivation(ctx context.Context, mode replication.Mode, token string) (*activation.Payload, error)
}

// IndexReport is the result of a check of the index.
type IndexReport struct {
	Root replication.Fingerprint
	// Wrong says that index and storage differ. Ranges has the numbers of the ranges of
	// keys that differ, in order.
	Wrong  bool
	Ranges []int
}

// Consume deletes the generated DR operation token that allowed a change of role. It does
// nothing for a batch token. The controller calls it once, when the change is certain and
// before the barrier is closed for it, so that a change that fails leaves the token usable.
// An error ends the change: another request has used the token.
type Consume func(ctx context.Context) error

// PromoteRequest has the parameters of secondary/promote.
type PromoteRequest struct {
	replication.PromoteSecondaryRequest
	Consume Consume
}

// UpdatePrimaryRequest has the parameters of secondary/update-primary. Payload
// and Addrs both empty means: forget the primary.
type UpdatePrimaryRequest struct {
	Payload *activation.Payload
	Addrs   []string
	// Keep is as in EnableSecondary.
	Keep bool
}

// Kept has the values of a former primary that its successor did not have.
type Kept interface {
	List(ctx context.Context) ([]KeptFile, error)
	// NotKept is what this cluster has noted as a former primary, by mode, and has not kept: whoever it is to follow
	// may lack it. Exact says that nothing was written since.
	NotKept(ctx context.Context) ([]KeptFile, error)
	Get(ctx context.Context, id string) (*KeptFile, error)
	// Read returns values, at most a number of them, after others that are skipped.
	Read(ctx context.Context, id string, skip, limit int) ([]KeptValue, error)
	Remove(ctx context.Context, id string) error
}

// KeptFile is what is known of the values that were kept together.
type KeptFile struct {
	ID   string           `json:"id"`
	Mode replication.Mode `json:"mode"`
	Kept time.Time        `json:"kept"`
	// Exact says that the primary lacked exactly these values. Otherwise they are all values that it may have lacked.
	Exact  bool        `json:"exact"`
	Values int         `json:"values"`
	Places []KeptPlace `json:"places"`
}

// KeptPlace is how many values are of a mount, or of a part of sys/.
type KeptPlace struct {
	Place  string `json:"place"`
	Values int    `json:"values"`
}

// KeptValue is one value.
type KeptValue struct {
	// Key is its name in storage, of any bytes. Place is the path of its mount.
	Key   []byte `json:"key"`
	Place string `json:"place"`
	// Deleted says that this cluster had deleted it.
	Deleted bool   `json:"deleted,omitempty"`
	Value   []byte `json:"value,omitempty"`
}

// OperationTokens checks DR operation tokens; operationtoken.Verifier is one.
type OperationTokens interface {
	Allow(ctx context.Context, token string, use *logical.Request) error
	Consume(ctx context.Context, token string) error
}

// Activations exchanges activation tokens; activation.Client is one.
type Activations interface {
	Fetch(ctx context.Context, req activation.Request) (payload *activation.Payload, warnings []string, spent bool,
		err error)
}

// Slot is what a primary retains for one secondary.
type Slot struct {
	// ID is that of the secondary.
	ID string
	// State is active, warning (near a cap) or lost. A lost slot retains nothing, and its
	// secondary compares and copies when it comes. Reason says why.
	State, Reason string
	// RetainedBytes and RetainedAge are of the changes that the secondary has not
	// acknowledged.
	RetainedBytes uint64
	RetainedAge   time.Duration
	// MaxBytes and MaxAge are the caps of both, 0 for none.
	MaxBytes uint64
	MaxAge   time.Duration
	// Acknowledged is the last sequence that the secondary has acknowledged.
	Acknowledged uint64
	// Heard is when the secondary was last heard of, over restarts of this cluster too. Zero when
	// not known.
	Heard time.Time
}

// Use is the part of a slot's cap that is used; of two caps, the larger part.
func (s *Slot) Use() (part float64) {
	if s.MaxBytes > 0 {
		part = float64(s.RetainedBytes) / float64(s.MaxBytes)
	}
	if s.MaxAge > 0 {
		part = max(part, s.RetainedAge.Seconds()/s.MaxAge.Seconds())
	}
	return part
}

// Behind is what a secondary has not acknowledged, as far as its primary has it in memory.
type Behind struct {
	// Changes is how many changes of each mount are missing, by its path. The core itself has the empty path.
	Changes map[string]int
	// All says that there are no others.
	All bool
}

// ModeStatus is the status of one mode: what the host knows, and what the
// plugin told of its sessions.
type ModeStatus struct {
	Role replication.Role
	// ClusterID is the id of the replication set.
	ClusterID string
	// Contested says that the role was taken over by force while another cluster with this
	// role was alive, or may have been.
	Contested bool
	// Fingerprint is that of the replicated content; empty while it is computed.
	Fingerprint replication.Fingerprint
	// LastWAL is the last sequence written here, LastModeWAL the last that holds
	// data of this mode. Both of a primary.
	LastWAL, LastModeWAL uint64
	// LastRemoteWAL is the last sequence of the primary that was applied, and
	// ConsistentFrom the one from which the content is exactly the primary's;
	// Consistent says whether it is now. Of a secondary.
	LastRemoteWAL, ConsistentFrom uint64
	Consistent                    bool
	// Missing is how many keys of the primary the storage of a secondary refuses.
	Missing uint64
	// CorruptedMerkleTree is the result of the check at LastCorruptionCheck.
	CorruptedMerkleTree bool
	// LastCorruptionCheck and LastReindex are zero for never.
	LastCorruptionCheck, LastReindex time.Time
	// Reindexing says that the index is being computed: Indexed keys of about
	// IndexTotal.
	Reindexing          bool
	Indexed, IndexTotal uint64
	// Lacks says what a performance secondary cannot do, one sentence each: an audit
	// device that cannot be opened here, a plugin that is not installed.
	Lacks []string
	// UnclassifiedKeys counts the writes on this node, since it was started, to keys
	// that the table of classes does not know.
	UnclassifiedKeys uint64
	// Slots are, on the active node of a primary, what is retained for its secondaries.
	Slots []Slot
	// Sessions is the plugin's part.
	Sessions replication.Status
}
