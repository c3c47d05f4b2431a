// SPDX-License-Identifier: MPL-2.0

package cluster

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"time"
)

// watchInterval is how often a moment in a server's life is looked for. It is far
// shorter than [pollInterval]: a kill has to follow the moment at once.
const watchInterval = 200 * time.Microsecond

// LogSize is the present length of the node's log.
func (n *Node) LogSize() (int64, error) {
	info, err := os.Stat(n.LogFile())
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// LogFrom is the node's log after an offset.
func (n *Node) LogFrom(offset int64) ([]byte, error) {
	log, err := os.ReadFile(n.LogFile())
	if err != nil || int64(len(log)) < offset {
		return nil, err
	}
	return log[offset:], nil
}

// WaitLog waits until the node's log after an offset has the text. It returns within a
// millisecond of that.
func (n *Node) WaitLog(ctx context.Context, offset int64, text string) error {
	return n.Watch(ctx, "logs "+text, func() (bool, error) {
		log, err := n.LogFrom(offset)
		return bytes.Contains(log, []byte(text)), err
	})
}

// Watch asks for a moment of the node, nearly without pause, until it has come.
func (n *Node) Watch(ctx context.Context, what string, come func() (bool, error)) error {
	ticker := time.NewTicker(watchInterval)
	defer ticker.Stop()
	for {
		ok, err := come()
		if err != nil {
			return fmt.Errorf("watching until %s %s: %w", n.Name(), what, err)
		}
		if ok {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("watching until %s %s: %w", n.Name(), what, ctx.Err())
		case <-ticker.C:
		}
	}
}
