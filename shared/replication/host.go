// SPDX-License-Identifier: MPL-2.0

package replication

import (
	"context"
	"net"
	"time"
)

// Limits of the contract. Both ends of every boundary check them.
const (
	// StateKeyMax and StateValueMax bound one record of the plugin, in bytes.
	StateKeyMax   = 256
	StateValueMax = 512 << 10
	// PayloadTarget is the size at which a Frame or Range is cut, in bytes. It may be
	// exceeded by one write, so that an oversized entry fits alone.
	PayloadTarget = 1 << 20
	// PayloadMax is the size above which the payload of a Frame, a Range, a
	// forwarded request or its answer is refused, in bytes.
	PayloadMax = 64 << 20
	// ProofMax bounds a [Proof], in bytes.
	ProofMax = 1 << 10
)

// Proof is what the host of one cluster adds to a message for the host of another. It shows who sends it, to whom, and
// about what. Plugins carry proofs and cannot make one. The receiving host refuses a message without a valid proof with
// Denied, and applies nothing of it.
type Proof []byte

// Host is what the host does for a plugin. Calls are made from the plugin's
// process; those that need the node to be active answer Unavailable otherwise.
type Host interface {
	// Node describes the node now.
	Node(ctx context.Context) (*Node, error)

	// GetState reads a record of the plugin, nil when there is none. Records are kept behind the barrier, for each mode.
	// Those of performance mode go to DR secondaries; no others are replicated.
	GetState(ctx context.Context, key string) ([]byte, error)
	// PutState writes a record.
	PutState(ctx context.Context, key string, value []byte) error
	// DeleteState deletes a record; no error when there is none.
	DeleteState(ctx context.Context, key string) error
	// ListState lists the names that begin with prefix, sorted.
	ListState(ctx context.Context, prefix string) ([]string, error)

	// Listen accepts connections for the mode's ALPN name on the cluster port
	// with this certificate, from clients of this CA, until Stop or the next
	// call. The connections arrive through [Backend.ServeConn].
	Listen(ctx context.Context, req ListenRequest) error
	// StopListening refuses new connections. Connections that were handed over stay.
	StopListening(ctx context.Context) error
	// Dial connects to another cluster's cluster port under the mode's ALPN name.
	// The context bounds the dialling, not the connection.
	// Unreachable when nothing answers, Denied when TLS was refused.
	Dial(ctx context.Context, req DialRequest) (net.Conn, error)
	// RoleAt asks the API of another cluster for its role in the mode, without a token.
	// Nothing proves who answers. Unreachable when nothing tells a role: there is no
	// server, or it is sealed.
	RoleAt(ctx context.Context, apiAddr string) (*RoleAtAnswer, error)

	// Calls that name a secondary by its id are Denied if it was never registered or was
	// revoked. CloseSlot is the exception.

	// Position is the watermark of the journal: every write up to it is finished. It is for the secondary with this id.
	Position(ctx context.Context, id string) (*JournalPosition, error)
	// OpenSlot begins to retain journal rows after the present watermark for a secondary, and returns that position. It
	// replaces a slot of the same id. secondary is the proof of the secondary's cursor.
	OpenSlot(ctx context.Context, id string, secondary Proof) (*Opening, error)
	// AckSlot says that the secondary has made everything up to the position durable, which
	// the proof of its cursor shows. A slot never goes back: an older position moves
	// nothing. AckSlot also says that the secondary is there; rows for a silent one are not
	// kept for ever. The zero position needs no proof and says only that. NotFound without
	// such a slot, PositionLost when it was given up.
	AckSlot(ctx context.Context, id string, at Position, secondary Proof) error
	// CloseSlot ends retention for a secondary; no error without such a slot.
	CloseSlot(ctx context.Context, id string) error
	// ReadJournal streams the rows after a position in order, waiting for new
	// ones, until the context ends. PositionLost when rows are missing.
	ReadJournal(ctx context.Context, req ReadJournalRequest) (FrameReader, error)
	// ReadRange reads the replicated keys after a key, in key order, with their present values, up to a few times
	// PayloadTarget bytes.
	ReadRange(ctx context.Context, req ReadRangeRequest) (*Range, error)
	// AnswerDiff answers the question of a secondary that compares, see Diff. The answer is
	// about the present values. It has at most PayloadMax bytes.
	AnswerDiff(ctx context.Context, req AnswerDiffRequest) (answer []byte, err error)
	// SealHandover makes the handover for a joining secondary, sealed for its host.
	SealHandover(ctx context.Context, req SealHandoverRequest) (*Handover, error)

	// Receive gives the primary's host a request that a secondary forwarded
	// ([Backend.Forward]). An error says that nothing was carried out, unless it is
	// Internal, Uncertain or the context's. Many calls run at once.
	Receive(ctx context.Context, req ReceiveRequest) (*ReceiveResponse, error)

	// Cursor returns how far this cluster, a secondary, has applied.
	Cursor(ctx context.Context) (*Cursor, error)
	// BeginCopy records that a full copy of the primary's content begins, as of the
	// position of an OpenSlot. The content is not consistent until EndCopy. That OpenSlot
	// must have had the proof of the present cursor, and allows one copy. Ranges belong to
	// this copy alone; the returned cursor has its proof.
	BeginCopy(ctx context.Context, from Opening) (*Cursor, error)
	// ApplyRange makes the replicated keys of the range equal to the payload: it writes
	// those and deletes the others. It remembers UpTo in the cursor. All is durable when it
	// returns. Ranges are applied in key order, one at a time.
	ApplyRange(ctx context.Context, r *Range) (*Cursor, error)
	// Diff continues the copy that BeginCopy began by comparing this cluster's content with the primary's. It takes the
	// primary's answer to the former step's question; nil begins, or resumes after an interruption. It applies the
	// answer's content, which is stored when it returns, and returns the next question. Only one may run. After an error
	// it begins again with nil.
	//
	// While no copy is under way, its questions are for the keys that are Missing in the cursor, also beside ApplyFrame.
	// Done then says that there is no question now.
	Diff(ctx context.Context, answer []byte) (*DiffStep, error)
	// Verify compares this cluster's content with the fingerprint that the primary had at a
	// position: at once if this cluster is there, otherwise when ApplyFrame gets there.
	// Verify or that ApplyFrame returns PositionLost when they have differed more than
	// once, because only a copy mends that.
	Verify(ctx context.Context, at Position, fingerprint Fingerprint, primary Proof) error
	// EndCopy records that the last range was applied, or that Diff is done. The cursor is
	// then at the position of BeginCopy, and consistent from the highest AsOf of the
	// ranges.
	EndCopy(ctx context.Context) (*Cursor, error)
	// ApplyFrame applies the rows of a frame in order, durable when it returns. A frame
	// that the cursor has passed changes nothing. A frame that begins after the cursor is
	// PositionLost. So is a frame that fits the cursor if only a copy can bring what is
	// missing.
	ApplyFrame(ctx context.Context, f *Frame) (*Cursor, error)
}

// Node describes the node the plugin runs beside.
type Node struct {
	// APIAddr and ClusterAddr are the advertised addresses, as URLs.
	APIAddr, ClusterAddr string
	// ClusterAddrs are the cluster addresses of all nodes of the cluster that
	// are known, the active one first.
	ClusterAddrs []string
	// Failover are the cluster addresses of clusters that may take this one's place in
	// the mode. These are its DR secondaries, which take over its role in performance
	// replication. Nil while they are not known.
	Failover []string
	// ClusterName is the name of the Vault cluster.
	ClusterName string
	// VaultVersion is the version of the platform.
	VaultVersion string
	// Now is the node's clock.
	Now time.Time
}

// ListenRequest has the TLS material of a primary.
type ListenRequest struct {
	// CACert signs the clients, DER.
	CACert []byte
	// Cert and Key are the server's: DER, PKCS #8.
	Cert, Key []byte
}

// DialRequest says where to connect to, and with which certificate.
type DialRequest struct {
	// Address is a URL or host:port.
	Address string
	// CACert signs the server, DER; ServerName is in its certificate.
	CACert     []byte
	ServerName string
	// Cert and Key are the client's: DER, PKCS #8.
	Cert, Key []byte
}

// RoleAtAnswer is the role of another cluster, as it says itself.
type RoleAtAnswer struct {
	Role Role
	// ClusterID is the id of its replication set, SecondaryID its id as a secondary. Both
	// are empty where the cluster does not tell them: the health of a node has the role
	// alone.
	ClusterID, SecondaryID string
}

// JournalPosition is where the primary is.
type JournalPosition struct {
	Position Position
	// Fingerprint is the fingerprint of the content at exactly this position. It is empty
	// while the host does not know it, and for a secondary that gets a part of the content.
	Fingerprint Fingerprint
	// Proof is for [Host.Verify]; empty without a fingerprint.
	Proof Proof
	// Keys is the number of replicated keys, 0 when not known yet, or for a secondary that gets a
	// part of the content.
	Keys uint64
}

// Opening is where a copy can begin.
type Opening struct {
	// Position is the position of the slot.
	Position Position
	// Proof is for [Host.BeginCopy].
	Proof Proof
}

// ReadJournalRequest says where to read.
type ReadJournalRequest struct {
	// SlotID names the slot that retains the rows.
	SlotID string
	// After is the last position the reader has.
	After Position
	// Proof is the proof of the reader's cursor.
	Proof Proof
}

// FrameReader yields frames one by one.
type FrameReader interface {
	// Next waits for a frame. io.EOF is never returned; the context of
	// ReadJournal ends it.
	Next() (*Frame, error)
	// Close releases the reader.
	Close() error
}

// Frame is a run of journal rows. Payload is opaque to plugins: names of keys
// and ciphertext, encoded and checked by the hosts.
type Frame struct {
	// After is the sequence before the first row, To the position of the last.
	After uint64
	To    Position
	// ConsistentFrom is 0 if every value is the one that its row wrote. Otherwise some values are newer, and the content
	// is consistent only from this sequence on.
	ConsistentFrom uint64
	Payload        []byte
	// Proof is for the host that applies the frame.
	Proof Proof
}

// ReadRangeRequest says where to read.
type ReadRangeRequest struct {
	// After is the last key of the range before, empty for the first.
	After string
	// SlotID is the id of the secondary that gets the range. It decides which keys are in the range.
	SlotID string
	// Proof is the proof of the secondary's cursor since BeginCopy.
	Proof Proof
}

// Range is a run of the replicated key space, complete between two keys.
type Range struct {
	// After (exclusive) and UpTo (inclusive) bound the keys; UpTo is empty when
	// Last.
	After, UpTo string
	Last        bool
	// Keys is the number of keys in the payload.
	Keys uint64
	// AsOf is the highest sequence whose write the values may include.
	AsOf    uint64
	Payload []byte
	// Proof is for the host that applies the range. It says nothing of Left.
	Proof Proof
	// Left is about how many keys follow in later ranges: an estimate for a status. It is 0
	// in the last range, and in others if it is not known.
	Left uint64
}

// AnswerDiffRequest is a question about ranges of the key space.
type AnswerDiffRequest struct {
	// SlotID is the id of the secondary that asks.
	SlotID string
	// Question was made by its host; see [DiffStep].
	Question []byte
}

// DiffStep is one step of a comparison.
type DiffStep struct {
	// Copy says that most of the primary's content is missing here, so that a copy
	// after the cursor's CopiedUpTo is less work. The comparison has ended then.
	Copy bool
	// Done says that the content is the primary's: EndCopy follows.
	Done bool
	// Question is the next question for the primary's host. It is opaque to plugins.
	Question []byte
	// Differing counts the primary's keys in the ranges that were found to differ so far.
	// Synced counts those that were fetched.
	Differing, Synced uint64
	Cursor            *Cursor
}

// ReceiveRequest is what a secondary has forwarded.
type ReceiveRequest struct {
	// SecondaryID is the secondary that the certificate of the session belongs to.
	SecondaryID string
	// Payload is sealed by the secondary's host, at most PayloadMax bytes.
	Payload []byte
}

// ReceiveResponse is the answer to it.
type ReceiveResponse struct {
	// Payload is sealed for the secondary's host, at most PayloadMax bytes.
	Payload []byte
}

// SealHandoverRequest comes from a joining secondary through its primary's
// plugin.
type SealHandoverRequest struct {
	SecondaryID string
	// Challenge was made by the joining host; the answer is bound to it.
	Challenge []byte
}

// Handover is what a joining host needs: keyring, seal material and the tables
// that a core cannot start without. Sealed from host to host.
type Handover struct {
	// Sealed is opaque to plugins.
	Sealed []byte
}

// Cursor is how far a secondary has applied.
type Cursor struct {
	// Position is the last position applied; zero before the first copy ended.
	Position Position
	// Copying says that a copy is under way: from the position CopyFrom, applied
	// up to and including the key CopiedUpTo, CopiedKeys of them.
	Copying    bool
	CopyFrom   Position
	CopiedUpTo string
	CopiedKeys uint64
	// ConsistentFrom is the sequence from which the content is exactly the
	// primary's at Position.
	ConsistentFrom uint64
	// Missing is how many of the primary's keys this cluster's storage refuses for good.
	// All others are here.
	Missing uint64
	// Proof is for the primary's host. It proves Position, CopyFrom while Copying, and the copy that is under way or is
	// next.
	Proof Proof
}

// Consistent says whether the content is exactly that of the primary at
// Position.
func (c *Cursor) Consistent() bool { return c.AtOnePosition() && c.Missing == 0 }

// AtOnePosition says whether the keys that are not missing are the primary's at Position.
func (c *Cursor) AtOnePosition() bool {
	return !c.Copying && !c.Position.Epoch.IsZero() && c.Position.Sequence >= c.ConsistentFrom
}
