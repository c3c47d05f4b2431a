// SPDX-License-Identifier: MPL-2.0

package replicationtest

import (
	"context"
	"net"

	"github.com/vault-replication/vault-replication/shared/replication"
)

// Host is a fake host: each method calls the function of its name. A call of one that is not set panics, which over a
// transport is an Internal error. The fields are set before first use.
type Host struct {
	replication.Host

	NodeFunc          func(ctx context.Context) (*replication.Node, error)
	GetStateFunc      func(ctx context.Context, key string) ([]byte, error)
	PutStateFunc      func(ctx context.Context, key string, value []byte) error
	DeleteStateFunc   func(ctx context.Context, key string) error
	ListStateFunc     func(ctx context.Context, prefix string) ([]string, error)
	ListenFunc        func(ctx context.Context, req replication.ListenRequest) error
	StopListeningFunc func(ctx context.Context) error
	DialFunc          func(ctx context.Context, req replication.DialRequest) (net.Conn, error)
	RoleAtFunc        func(ctx context.Context, apiAddr string) (*replication.RoleAtAnswer, error)
	PositionFunc      func(ctx context.Context, id string) (*replication.JournalPosition, error)
	OpenSlotFunc      func(ctx context.Context, id string, secondary replication.Proof) (*replication.Opening, error)
	AckSlotFunc       func(ctx context.Context, id string, at replication.Position, secondary replication.Proof) error
	CloseSlotFunc     func(ctx context.Context, id string) error
	ReadJournalFunc   func(ctx context.Context, req replication.ReadJournalRequest) (replication.FrameReader, error)
	ReadRangeFunc     func(ctx context.Context, req replication.ReadRangeRequest) (*replication.Range, error)
	AnswerDiffFunc    func(ctx context.Context, req replication.AnswerDiffRequest) ([]byte, error)
	SealHandoverFunc  func(ctx context.Context, req replication.SealHandoverRequest) (*replication.Handover, error)
	ReceiveFunc       func(ctx context.Context, req replication.ReceiveRequest) (*replication.ReceiveResponse, error)
	CursorFunc        func(ctx context.Context) (*replication.Cursor, error)
	BeginCopyFunc     func(ctx context.Context, from replication.Opening) (*replication.Cursor, error)
	ApplyRangeFunc    func(ctx context.Context, r *replication.Range) (*replication.Cursor, error)
	DiffFunc          func(ctx context.Context, answer []byte) (*replication.DiffStep, error)
	VerifyFunc        func(ctx context.Context, at replication.Position, fingerprint replication.Fingerprint,
		primary replication.Proof) error
	EndCopyFunc    func(ctx context.Context) (*replication.Cursor, error)
	ApplyFrameFunc func(ctx context.Context, f *replication.Frame) (*replication.Cursor, error)
}

var _ replication.Host = (*Host)(nil)

// Node implements [replication.Host].
func (fake *Host) Node(ctx context.Context) (*replication.Node, error) {
	return fake.NodeFunc(ctx)
}

// GetState implements [replication.Host].
func (fake *Host) GetState(ctx context.Context, key string) ([]byte, error) {
	return fake.GetStateFunc(ctx, key)
}

// PutState implements [replication.Host].
func (fake *Host) PutState(ctx context.Context, key string, value []byte) error {
	return fake.PutStateFunc(ctx, key, value)
}

// DeleteState implements [replication.Host].
func (fake *Host) DeleteState(ctx context.Context, key string) error {
	return fake.DeleteStateFunc(ctx, key)
}

// ListState implements [replication.Host].
func (fake *Host) ListState(ctx context.Context, prefix string) ([]string, error) {
	return fake.ListStateFunc(ctx, prefix)
}

// Listen implements [replication.Host].
func (fake *Host) Listen(ctx context.Context, req replication.ListenRequest) error {
	return fake.ListenFunc(ctx, req)
}

// StopListening implements [replication.Host].
func (fake *Host) StopListening(ctx context.Context) error {
	return fake.StopListeningFunc(ctx)
}

// Dial implements [replication.Host].
func (fake *Host) Dial(ctx context.Context, req replication.DialRequest) (net.Conn, error) {
	return fake.DialFunc(ctx, req)
}

// Position implements [replication.Host].
func (fake *Host) Position(ctx context.Context, id string) (*replication.JournalPosition, error) {
	return fake.PositionFunc(ctx, id)
}

// OpenSlot implements [replication.Host].
func (fake *Host) OpenSlot(ctx context.Context, id string, secondary replication.Proof) (*replication.Opening, error) {
	return fake.OpenSlotFunc(ctx, id, secondary)
}

// AckSlot implements [replication.Host].
func (fake *Host) AckSlot(ctx context.Context, id string, at replication.Position, secondary replication.Proof) error {
	return fake.AckSlotFunc(ctx, id, at, secondary)
}

// CloseSlot implements [replication.Host].
func (fake *Host) CloseSlot(ctx context.Context, id string) error {
	return fake.CloseSlotFunc(ctx, id)
}

// ReadJournal implements [replication.Host].
func (fake *Host) ReadJournal(ctx context.Context, req replication.ReadJournalRequest) (replication.FrameReader,
	error) {
	return fake.ReadJournalFunc(ctx, req)
}

// ReadRange implements [replication.Host].
func (fake *Host) ReadRange(ctx context.Context, req replication.ReadRangeRequest) (*replication.Range, error) {
	return fake.ReadRangeFunc(ctx, req)
}

// SealHandover implements [replication.Host].
func (fake *Host) SealHandover(ctx context.Context, req replication.SealHandoverRequest) (*replication.Handover,
	error) {
	return fake.SealHandoverFunc(ctx, req)
}

// Receive implements [replication.Host].
func (fake *Host) Receive(ctx context.Context, req replication.ReceiveRequest) (*replication.ReceiveResponse, error) {
	return fake.ReceiveFunc(ctx, req)
}

// RoleAt implements [replication.Host].
func (fake *Host) RoleAt(ctx context.Context, apiAddr string) (*replication.RoleAtAnswer, error) {
	return fake.RoleAtFunc(ctx, apiAddr)
}

// Cursor implements [replication.Host].
func (fake *Host) Cursor(ctx context.Context) (*replication.Cursor, error) {
	return fake.CursorFunc(ctx)
}

// AnswerDiff implements [replication.Host].
func (fake *Host) AnswerDiff(ctx context.Context, req replication.AnswerDiffRequest) ([]byte, error) {
	return fake.AnswerDiffFunc(ctx, req)
}

// Diff implements [replication.Host].
func (fake *Host) Diff(ctx context.Context, answer []byte) (*replication.DiffStep, error) {
	return fake.DiffFunc(ctx, answer)
}

// Verify implements [replication.Host].
func (fake *Host) Verify(ctx context.Context, at replication.Position, fingerprint replication.Fingerprint,
	primary replication.Proof) error {
	return fake.VerifyFunc(ctx, at, fingerprint, primary)
}

// BeginCopy implements [replication.Host].
func (fake *Host) BeginCopy(ctx context.Context, from replication.Opening) (*replication.Cursor, error) {
	return fake.BeginCopyFunc(ctx, from)
}

// ApplyRange implements [replication.Host].
func (fake *Host) ApplyRange(ctx context.Context, r *replication.Range) (*replication.Cursor, error) {
	return fake.ApplyRangeFunc(ctx, r)
}

// EndCopy implements [replication.Host].
func (fake *Host) EndCopy(ctx context.Context) (*replication.Cursor, error) {
	return fake.EndCopyFunc(ctx)
}

// ApplyFrame implements [replication.Host].
func (fake *Host) ApplyFrame(ctx context.Context, f *replication.Frame) (*replication.Cursor, error) {
	return fake.ApplyFrameFunc(ctx, f)
}
