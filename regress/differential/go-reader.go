// Copyright (c) 2026 The smtpusers authors
// See LICENSE.

// Go's readings: each line of standard input is a message in hexadecimal; a
// line of output has the addresses found, each in hexadecimal.
package main

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"fmt"
	"mime"
	"net/mail"
	"os"
	"strings"
)

func parse(value string) (found []string) {
	list, err := mail.ParseAddressList(value)
	if err != nil {
		return nil
	}
	for _, address := range list {
		found = append(found, hex.EncodeToString([]byte(address.Address)))
	}
	return found
}

func read(text []byte) (found []string) {
	message, err := mail.ReadMessage(bytes.NewReader(text))
	if err != nil {
		return nil
	}
	for _, value := range message.Header["From"] {
		found = append(found, parse(value)...)
		decoded, err := new(mime.WordDecoder).DecodeHeader(value)
		if err == nil {
			found = append(found, parse(decoded)...)
		}
	}
	return found
}

func main() {
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<24)
	for lines.Scan() {
		text, err := hex.DecodeString(lines.Text())
		if err != nil {
			panic(err)
		}
		fmt.Println(strings.Join(read(text), " "))
	}
}
