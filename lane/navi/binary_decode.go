package navi

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/big"
	"unicode/utf16"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
)

// field is one of a message. Nested messages come with a length or as a group;
// their content is the same.
type field struct {
	number  protowire.Number
	kind    protowire.Type
	bits    uint64 // of a number
	content []byte // of a string or a message
}

var errBroken = errors.New("is not a message of protostuff's")

// fields takes a message apart.
func fields(b []byte) (out []field, err error) {
	for len(b) > 0 {
		number, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			return nil, errBroken
		}
		b = b[n:]
		f := field{number: number, kind: kind}
		switch kind {
		case protowire.VarintType:
			f.bits, n = protowire.ConsumeVarint(b)
		case protowire.Fixed32Type:
			var v uint32
			v, n = protowire.ConsumeFixed32(b)
			f.bits = uint64(v)
		case protowire.Fixed64Type:
			f.bits, n = protowire.ConsumeFixed64(b)
		case protowire.BytesType:
			f.content, n = protowire.ConsumeBytes(b)
		case protowire.StartGroupType:
			f.content, n = protowire.ConsumeGroup(number, b)
		default:
			n = -1
		}
		if n < 0 {
			return nil, errBroken
		}
		b = b[n:]
		out = append(out, f)
	}
	return out, nil
}

func receivedOf(body []byte) (in received, err error) {
	all, err := fields(body)
	if err != nil {
		return in, err
	}
	for _, f := range all {
		switch f.number {
		case requestTraceID:
			in.TraceID = int64(f.bits)
		case requestMethod:
			in.Method = string(f.content)
		case requestParameters, requestTypes:
			values, err := listOf(f.content, idArray, 0)
			if err != nil {
				return in, err
			}
			for i, v := range values {
				if f.number == requestTypes {
					name, ok := v.(string)
					if !ok {
						return in, fmt.Errorf("the type of parameter %d: is a %T, not a string", i+1, v)
					}
					in.Types = append(in.Types, name)
					continue
				}
				raw, err := json.Marshal(v)
				if err != nil {
					return in, fmt.Errorf("argument %d: %w", i+1, err)
				}
				in.Parameters = append(in.Parameters, raw)
			}
		case requestAppID:
			in.AppID = string(f.content)
		case requestToken:
			in.Token = string(f.content)
		}
	}
	return in, nil
}

func answerOf(body []byte, a *answer) error {
	all, err := fields(body)
	if err != nil {
		return err
	}
	for _, f := range all {
		switch f.number {
		case answerTraceID:
			a.TraceID = int64(f.bits)
		case answerResult:
			v, err := valueOf(f.content, 0)
			if err != nil {
				return err
			}
			raw, err := json.Marshal(v)
			if err != nil {
				return err
			}
			if err := json.Unmarshal(raw, a.Result); err != nil {
				return err
			}
		case answerStatus:
			a.Status = Status(int32(f.bits))
		case answerError:
			if a.Error, err = throwableOf(f.content, 0); err != nil {
				return err
			}
		}
	}
	return nil
}

// throwableOf reads what an exception says. Its own class's fields come after
// those of Throwable.
func throwableOf(content []byte, depth int) (*fault, error) {
	all, err := fields(content)
	if err != nil {
		return nil, err
	}
	out := &fault{}
	for _, f := range all {
		switch f.number {
		case throwableMessage:
			out.Message = string(f.content)
		case throwableCause:
			if depth == deepest {
				return out, nil
			}
			if out.Cause, err = throwableOf(f.content, depth+1); err != nil {
				return nil, err
			}
		}
	}
	return out, nil
}

// valueOf reads an object as a value that JSON writes as Navi's JSON would.
func valueOf(content []byte, depth int) (any, error) {
	all, err := fields(content)
	if err != nil {
		return nil, err
	}
	if len(all) == 0 {
		return nil, errBroken
	}
	if depth > deepest {
		return nil, fmt.Errorf("lists and maps are nested deeper than %d", deepest)
	}
	switch f := all[0]; f.number {
	case idBool:
		return f.bits != 0, nil
	case idByte:
		return int8(f.bits), nil
	case idChar:
		return string(rune(f.bits)), nil
	case idShort:
		return int16(f.bits), nil
	case idInt:
		return int32(f.bits), nil
	case idLong, idDate: // a date in milliseconds, as Jackson writes it
		return int64(f.bits), nil
	case idFloat:
		return finite(float64(math.Float32frombits(uint32(f.bits))))
	case idDouble:
		return finite(math.Float64frombits(f.bits))
	case idString:
		return text(f.content)
	case idBytes, idByteArray:
		return f.content, nil
	case idBigDecimal:
		if _, _, err := big.ParseFloat(string(f.content), 10, 0, big.ToNearestEven); err != nil {
			return nil, fmt.Errorf("a BigDecimal: %w", err)
		}
		return json.Number(f.content), nil
	case idBigInteger:
		return bigInteger(f.content), nil
	case idArray:
		return listOf(content, idArray, depth)
	case idCollection:
		return listOf(content, idCollection, depth)
	case idMap:
		return tableOf(all[1:], depth)
	case idEnum, idPojo:
		return nil, fmt.Errorf("a %s: the fields of a Java class have numbers here and no names; call by JSON", f.content)
	default:
		return nil, fmt.Errorf("an object of kind %d: only scalars, arrays, lists and maps are understood here; call by JSON", f.number)
	}
}

// text reads a string. Beyond Unicode's first plane protostuff writes the two
// surrogates of UTF-16 as if they were characters; and reads UTF-8 as well.
func text(b []byte) (string, error) {
	if utf8.Valid(b) {
		return string(b), nil
	}
	var units []uint16
	for len(b) > 0 {
		switch r, n := utf8.DecodeRune(b); {
		case r != utf8.RuneError || n > 1:
			units = utf16.AppendRune(units, r)
			b = b[n:]
		case len(b) >= 3 && b[0] == 0xed && b[1]&0xe0 == 0xa0 && b[2]&0xc0 == 0x80:
			units = append(units, 0xd000|uint16(b[1]&0x3f)<<6|uint16(b[2]&0x3f))
			b = b[3:]
		default:
			return "", errors.New("a string is not UTF-8")
		}
	}
	return string(utf16.Decode(units)), nil
}

func finite(v float64) (any, error) {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return nil, fmt.Errorf("%v is no number in JSON, by which methods read their arguments", v)
	}
	return v, nil
}

// bigInteger reads a number in two's complement, its highest byte first.
func bigInteger(octets []byte) *big.Int {
	v := new(big.Int).SetBytes(octets)
	if len(octets) > 0 && octets[0] >= 0x80 {
		v.Sub(v, new(big.Int).Lsh(big.NewInt(1), uint(8*len(octets))))
	}
	return v
}

// listOf reads an array or a collection.
func listOf(content []byte, id protowire.Number, depth int) ([]any, error) {
	all, err := fields(content)
	if err != nil {
		return nil, err
	}
	if len(all) == 0 || all[0].number != id {
		return nil, errBroken
	}
	out := []any{}
	for _, f := range all[1:] {
		if id == idArray && f.number != element {
			continue // its length and dimensions
		}
		v, err := valueOf(f.content, depth+1)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, nil
}

// tableOf reads a map's entries. Keys are names in JSON.
func tableOf(entries []field, depth int) (map[string]any, error) {
	out := map[string]any{}
	for _, entry := range entries {
		all, err := fields(entry.content)
		if err != nil {
			return nil, err
		}
		var key, value any
		for _, f := range all {
			v, err := valueOf(f.content, depth+1)
			if err != nil {
				return nil, err
			}
			if f.number == entryKey {
				key = v
			} else {
				value = v
			}
		}
		switch key.(type) {
		case nil, []any, []byte, map[string]any:
			return nil, fmt.Errorf("a map's key is a %T: only scalars are understood; call by JSON", key)
		}
		out[fmt.Sprint(key)] = value
	}
	return out, nil
}
