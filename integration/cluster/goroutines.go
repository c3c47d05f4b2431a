// SPDX-License-Identifier: MPL-2.0

package cluster

import (
	"bytes"
	"context"
	"fmt"
	"io"
)

// Goroutines is how many goroutines the server has, and the profile that says what they
// do. It needs [Options.OpenProfiles].
func (n *Node) Goroutines(ctx context.Context) (count int, profile []byte, err error) {
	resp, err := n.Anonymous().Logical().ReadRawWithDataWithContext(ctx, "sys/pprof/goroutine",
		map[string][]string{"debug": {"1"}})
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close() // it was read
	if profile, err = io.ReadAll(resp.Body); err != nil {
		return 0, nil, err
	}
	if _, err := fmt.Fscanf(bytes.NewReader(profile), "goroutine profile: total %d", &count); err != nil {
		return 0, nil, fmt.Errorf("the profile of %s is not understood: %w", n.Name(), err)
	}
	return count, profile, nil
}
