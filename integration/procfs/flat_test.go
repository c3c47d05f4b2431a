// SPDX-License-Identifier: MPL-2.0

package procfs_test

import (
	"os"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/integration/procfs"
)

func TestFlatFindsALeakAndNothingElse(t *testing.T) {
	t.Parallel()
	var noisy, warm, leak procfs.Series
	for i := range 30 {
		noisy = append(noisy, 100+float64(i%7))
		warm = append(warm, 100+float64(min(i, 9))*20)
		leak = append(leak, 100+float64(i))
	}
	noisy[25] = 9000
	require.NoError(t, noisy.Flat(0, 8))
	require.NoError(t, warm.Flat(0, 8), "growth while a process warms up is none")
	require.ErrorContains(t, leak.Flat(0, 8), "grew from 115")
	require.NoError(t, leak.Flat(0.1, 0), "10 of 115")
	require.ErrorContains(t, leak[:8].Flat(0, 8), "too few")
}

func TestWhatThisProcessHolds(t *testing.T) {
	t.Parallel()
	before, err := procfs.Descriptors(os.Getpid())
	require.NoError(t, err)
	// More than other tests, which run at the same time, open or close.
	for range 64 {
		f, err := os.Open("/dev/null")
		require.NoError(t, err)
		t.Cleanup(func() { _ = f.Close() })
	}
	after, err := procfs.Descriptors(os.Getpid())
	require.NoError(t, err)
	require.GreaterOrEqual(t, after, before+32)

	// Pages that no file backs count when they were touched.
	const size = 64 << 20
	held, err := syscall.Mmap(-1, 0, size, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	require.NoError(t, err)
	t.Cleanup(func() { _ = syscall.Munmap(held) })
	for i := 0; i < size; i += os.Getpagesize() {
		held[i] = 1
	}
	memory, err := procfs.Anonymous(os.Getpid())
	require.NoError(t, err)
	require.Greater(t, memory, uint64(size))
	_, err = procfs.Anonymous(1 << 30)
	require.ErrorIs(t, err, os.ErrNotExist)
}
