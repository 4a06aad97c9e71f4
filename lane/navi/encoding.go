package navi

import (
	"encoding/json"
	"fmt"
	"strings"
)

// Encoding is how a call and its answer are written.
type Encoding int

// The encodings of Navi. The two binary ones write Java objects as protostuff
// 1.0's runtime schema does, which knows the fields of a class by number alone: they
// carry scalars, byte arrays, lists and maps of such, and no other class.
const (
	JSON       Encoding = iota
	Protobuf            // nested messages have a length before them
	Protostuff          // nested messages are groups; what Navi's clients use unless they are told otherwise
)

// In sets how calls are encoded. Default: JSON.
func In(e Encoding) Option { return func(c *Client) { c.encoding = e } }

// medium is an encoding's media type. The Java client compares a refusal's
// Content-Type with it as a whole: with a charset behind it, it does not look into
// the body.
func (e Encoding) medium() string {
	switch e {
	case Protobuf:
		return "application/baidu.protobuf"
	case Protostuff:
		return "application/baidu.protostuff"
	}
	return "application/baidu.json"
}

// contentType is what carries a call and its answer.
func (e Encoding) contentType() string { return e.medium() + ";charset=UTF-8" }

func (e Encoding) String() string { return e.medium() }

// encodingOf returns the encoding that a Content-Type names.
func encodingOf(contentType string) (Encoding, bool) {
	media, _, _ := strings.Cut(contentType, ";")
	for _, e := range []Encoding{JSON, Protobuf, Protostuff} {
		if strings.EqualFold(strings.TrimSpace(media), e.medium()) {
			return e, true
		}
	}
	return 0, false
}

func (e Encoding) encodeRequest(r *request) ([]byte, error) {
	if e == JSON {
		return json.Marshal(r)
	}
	return e.binaryRequest(r)
}

func (e Encoding) decodeRequest(body []byte) (received, error) {
	if e != JSON {
		return receivedOf(body)
	}
	var in received
	err := json.Unmarshal(body, &in)
	return in, err
}

func (e Encoding) encodeAnswer(a *answer) ([]byte, error) {
	if e == JSON {
		return json.Marshal(a)
	}
	return e.binaryAnswer(a)
}

// decodeAnswer decodes an answer, and its result into a.Result, a pointer.
func (e Encoding) decodeAnswer(body []byte, a *answer) error {
	if e == JSON {
		return json.Unmarshal(body, a)
	}
	return answerOf(body, a)
}

// mustEncode is for answers of numbers and strings alone.
func (e Encoding) mustEncode(a answer) []byte {
	body, err := e.encodeAnswer(&a)
	if err != nil {
		panic(fmt.Sprintf("navi: an answer without a result cannot be encoded: %v", err))
	}
	return body
}
