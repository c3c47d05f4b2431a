#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
#
# Generates the Go code of every .proto below shared/proto. Needs protoc (Debian:
# protobuf-compiler). The Go generator is the one of the protobuf module in
# go.mod; the gRPC generator has a module of its own, pinned here to the release
# that belongs to the grpc module in go.mod.
set -eu

GRPC_GENERATOR=google.golang.org/grpc/cmd/protoc-gen-go-grpc@v1.5.1

cd "$(dirname "$0")/.."
command -v protoc >/dev/null || {
	echo "protoc is missing: install it (Debian: apt-get install protobuf-compiler)" >&2
	exit 1
}
tools=$(mktemp -d)
trap 'rm -rf "$tools"' EXIT

GOWORK=off GOFLAGS="-mod=mod -buildvcs=false" go build -o "$tools/protoc-gen-go" google.golang.org/protobuf/cmd/protoc-gen-go
GOBIN="$tools" GOFLAGS="-buildvcs=false" go install "$GRPC_GENERATOR"

PATH="$tools:$PATH" protoc -I shared/proto \
	--go_out=shared/proto --go_opt=paths=source_relative \
	--go-grpc_out=shared/proto --go-grpc_opt=paths=source_relative \
	$(cd shared/proto && find . -name '*.proto' | sed 's|^\./||' | sort)
