// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause

// Opens TLS connections: main PORT NAME [ALPN,ALPN...|-] [COUNT]. With COUNT 2 the second resumes.
package main

import (
	"crypto/tls"
	"io"
	"os"
	"strconv"
	"strings"
)

func main() {
	config := &tls.Config{
		ServerName:         os.Args[2],
		InsecureSkipVerify: true,
		ClientSessionCache: tls.NewLRUClientSessionCache(1),
	}
	if len(os.Args) > 3 && os.Args[3] != "-" {
		config.NextProtos = strings.Split(os.Args[3], ",")
	}
	count := 1
	if len(os.Args) > 4 {
		count, _ = strconv.Atoi(os.Args[4])
	}
	for ; count > 0; count-- {
		conn, err := tls.Dial("tcp", "127.0.0.1:"+os.Args[1], config)
		if err != nil {
			return
		}
		// The tickets of TLS 1.3 come with the answer.
		io.WriteString(conn, "GET / HTTP/1.0\r\n\r\n")
		io.Copy(io.Discard, conn)
		conn.Close()
	}
}
