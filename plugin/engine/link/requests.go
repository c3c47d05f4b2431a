// SPDX-License-Identifier: MPL-2.0

package link

import (
	"google.golang.org/protobuf/proto"

	linkv1 "github.com/vault-replication/vault-replication/shared/proto/link/v1"
)

// requestMax is the largest message of a kind that a secondary has reason to send.
func requestMax(m any) int {
	switch m.(type) {
	case *linkv1.ForwardRequest, *linkv1.ForwardLargeRequest, *linkv1.DiffRequest:
		return RequestMax
	case *linkv1.StreamRequest:
		return AckMax
	default:
		return SmallRequestMax
	}
}

// CheckRequest refuses a message that is larger than a secondary has reason to send.
// gRPC has one limit for all of a server's calls.
func CheckRequest(m any) error {
	p, ok := m.(proto.Message)
	if !ok {
		return nil
	}
	if n, most := proto.Size(p), requestMax(m); n > most {
		return invalid("a request has %d bytes, %d are allowed", n, most)
	}
	return nil
}
