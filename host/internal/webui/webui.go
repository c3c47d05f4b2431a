// SPDX-License-Identifier: MPL-2.0

// Package webui has Vault's own web page, with the pages of replication, in the binary.
//
// The folder page of this tree has one page that says how to build the real one. make ui builds it out of Vault's
// source, outside of the tree, and make build has the go command take it for that folder.
package webui

import (
	"embed"
	"io/fs"
	"net/http"
)

//go:embed all:page
var embedded embed.FS

// Missing is what a server without the page says at its start.
const Missing = "this binary was built without Vault's web page, and /ui/ says how to build it: make ui"

// Page is the page, or the one that says how to build it.
func Page() (page http.FileSystem, complete bool) { return pageOf(embedded) }

func pageOf(files fs.FS) (page http.FileSystem, complete bool) {
	below, err := fs.Sub(files, "page")
	if err != nil {
		panic(err) // the name is no path
	}
	_, err = fs.Stat(below, "assets")
	return http.FS(below), err == nil
}
