// SPDX-License-Identifier: MPL-2.0

// Package primary is the primary's end of the links: it accepts the connections
// that the host hands over, decides for each secondary whether it resumes or
// copies, and streams to it.
//
// Nothing here runs in the path of a client's write. A slow or dead secondary costs at most the frames of one window in
// memory, and the rows that its slot retains, which the host caps.
package primary
