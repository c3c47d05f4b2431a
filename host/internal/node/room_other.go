// SPDX-License-Identifier: MPL-2.0

//go:build !linux

package node

import "errors"

func freeBytes(string) (uint64, error) { return 0, errors.ErrUnsupported }
