package navi

import (
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
)

// The fields of Navi's RequestDTO and ResponseDTO, numbered in the order in which
// their classes declare them, and those of java.lang.Throwable.
const (
	requestTraceID    = 1
	requestMethod     = 2
	requestParameters = 3
	requestTypes      = 4
	requestAppID      = 5
	requestToken      = 6

	answerTraceID = 1
	answerResult  = 2
	answerStatus  = 3
	answerError   = 4

	throwableMessage = 1
	throwableCause   = 2
)

// The numbers by which protostuff's ObjectSchema tells what an object is.
const (
	idBool       = 1
	idByte       = 2
	idChar       = 3
	idShort      = 4
	idInt        = 5
	idLong       = 6
	idFloat      = 7
	idDouble     = 8
	idString     = 9
	idBytes      = 10
	idByteArray  = 11
	idBigDecimal = 12
	idBigInteger = 13
	idDate       = 14
	idArray      = 15
	idEnum       = 24
	idCollection = 25
	idMap        = 26
	idThrowable  = 52
	idPojo       = 127 // an object of any other class
)

// Within an array, a collection, a map.
const (
	arrayDimensions = 2
	arrayLength     = 3
	element         = 1 // repeated
	entryKey        = 1
	entryValue      = 2
)

// raised is the class that an error is to the Java client, which throws its cause.
const raised = "java.lang.RuntimeException"

// deepest bounds how deep lists and maps are nested in one another.
const deepest = 100

// message appends a nested message that fill writes.
func (e Encoding) message(b []byte, n protowire.Number, fill func([]byte) ([]byte, error)) ([]byte, error) {
	if e == Protostuff {
		b, err := fill(protowire.AppendTag(b, n, protowire.StartGroupType))
		return protowire.AppendTag(b, n, protowire.EndGroupType), err
	}
	inner, err := fill(nil)
	return protowire.AppendBytes(protowire.AppendTag(b, n, protowire.BytesType), inner), err
}

func appendInt(b []byte, n protowire.Number, v int64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(b, n, protowire.VarintType), uint64(v))
}

func appendString(b []byte, n protowire.Number, s string) []byte {
	return protowire.AppendString(protowire.AppendTag(b, n, protowire.BytesType), s)
}

func (e Encoding) binaryRequest(r *request) ([]byte, error) {
	b := appendInt(nil, requestTraceID, r.TraceID)
	b = appendString(b, requestMethod, r.Method)
	b, err := e.message(b, requestParameters, func(b []byte) ([]byte, error) {
		b = array(b, "java.lang.Object", len(r.Parameters))
		for i, p := range r.Parameters {
			hint := ""
			if i < len(r.Types) {
				hint = r.Types[i]
			}
			var err error
			if b, err = e.message(b, element, func(b []byte) ([]byte, error) { return e.object(b, reflect.ValueOf(p), hint, 0) }); err != nil {
				return nil, fmt.Errorf("argument %d: %w", i+1, err)
			}
		}
		return b, nil
	})
	if err == nil {
		b, err = e.message(b, requestTypes, func(b []byte) ([]byte, error) {
			b = array(b, "java.lang.String", len(r.Types))
			for _, t := range r.Types {
				b, _ = e.message(b, element, func(b []byte) ([]byte, error) { return appendString(b, idString, t), nil })
			}
			return b, nil
		})
	}
	if r.AppID != nil {
		b = appendString(b, requestAppID, *r.AppID)
	}
	if r.Token != nil {
		b = appendString(b, requestToken, *r.Token)
	}
	return b, err
}

// array begins an array of one dimension.
func array(b []byte, class string, length int) []byte {
	b = appendString(b, idArray, class)
	b = appendInt(b, arrayLength, int64(length))
	return appendInt(b, arrayDimensions, 1)
}

func (e Encoding) binaryAnswer(a *answer) (b []byte, err error) {
	b = appendInt(nil, answerTraceID, a.TraceID)
	if v := inside(reflect.ValueOf(a.Result)); v.IsValid() {
		if b, err = e.message(b, answerResult, func(b []byte) ([]byte, error) { return e.object(b, v, "", 0) }); err != nil {
			return nil, err
		}
	}
	b = appendInt(b, answerStatus, int64(a.Status))
	if a.Error != nil {
		b, _ = e.message(b, answerError, func(b []byte) ([]byte, error) { return e.throwable(b, a.Error), nil })
	}
	return b, nil
}

func (e Encoding) throwable(b []byte, f *fault) []byte {
	b = appendString(b, idThrowable, raised)
	b = appendString(b, throwableMessage, f.Message)
	if f.Cause != nil {
		b, _ = e.message(b, throwableCause, func(b []byte) ([]byte, error) { return e.throwable(b, f.Cause), nil })
	}
	return b
}

// inside follows pointers and interfaces; what is nil is not valid.
func inside(v reflect.Value) reflect.Value {
	for v.IsValid() && (v.Kind() == reflect.Pointer || v.Kind() == reflect.Interface) {
		v = v.Elem()
	}
	return v
}

// object appends a value as what it is in Java. hint is the Java type that is
// wanted; empty: the one like Go's, where int is long.
func (e Encoding) object(b []byte, v reflect.Value, hint string, depth int) ([]byte, error) {
	v = inside(v)
	if !v.IsValid() {
		return nil, fmt.Errorf("a null cannot be among them in %s; use JSON", e)
	}
	if depth > deepest {
		return nil, fmt.Errorf("lists and maps are nested deeper than %d", deepest)
	}
	if v.Type() == reflect.TypeFor[time.Time]() {
		millis := v.Interface().(time.Time).UnixMilli()
		return protowire.AppendFixed64(protowire.AppendTag(b, idDate, protowire.Fixed64Type), uint64(millis)), nil
	}
	if v.Type() == reflect.TypeFor[json.RawMessage]() {
		var decoded any
		if err := json.Unmarshal(v.Bytes(), &decoded); err != nil {
			return nil, err
		}
		return e.object(b, reflect.ValueOf(decoded), hint, depth)
	}
	switch v.Kind() {
	case reflect.Bool:
		return appendInt(b, idBool, int64(protowire.EncodeBool(v.Bool()))), nil
	case reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64, reflect.Int:
		return integer(b, v.Int(), v.Kind(), hint)
	case reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uint:
		if v.Uint() > math.MaxInt64 {
			return nil, fmt.Errorf("%d is more than a long holds", v.Uint())
		}
		return integer(b, int64(v.Uint()), reflect.Int64, hint)
	case reflect.Float32, reflect.Float64:
		if v.Kind() == reflect.Float32 || hint == "float" || hint == "java.lang.Float" {
			return protowire.AppendFixed32(protowire.AppendTag(b, idFloat, protowire.Fixed32Type), math.Float32bits(float32(v.Float()))), nil
		}
		return protowire.AppendFixed64(protowire.AppendTag(b, idDouble, protowire.Fixed64Type), math.Float64bits(v.Float())), nil
	case reflect.String:
		return appendString(b, idString, v.String()), nil
	case reflect.Slice, reflect.Array:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			octets := make([]byte, v.Len())
			reflect.Copy(reflect.ValueOf(octets), v)
			return protowire.AppendBytes(protowire.AppendTag(b, idByteArray, protowire.BytesType), octets), nil
		}
		return e.list(b, v, depth)
	case reflect.Map:
		return e.table(b, v, depth)
	}
	return nil, fmt.Errorf("a %s cannot be encoded in %s, which knows a Java class's fields by number alone; use scalars, lists and maps, or JSON", v.Type(), e)
}

// integer appends a whole number as the Java type that is wanted.
func integer(b []byte, v int64, kind reflect.Kind, hint string) ([]byte, error) {
	id, bits := javaInteger(kind, hint)
	if least := int64(-1) << (bits - 1); v < least || v > -(least+1) {
		return nil, fmt.Errorf("%d is more than %d bits hold", v, bits)
	}
	if id == idByte || id == idShort {
		v = int64(uint32(v)) // as protostuff writes them
	}
	return appendInt(b, id, v), nil
}

// javaInteger returns the Java type that a whole number is written as.
func javaInteger(kind reflect.Kind, hint string) (id protowire.Number, bits int) {
	switch hint {
	case "byte", "java.lang.Byte":
		return idByte, 8
	case "short", "java.lang.Short":
		return idShort, 16
	case "int", "java.lang.Integer":
		return idInt, 32
	case "long", "java.lang.Long":
		return idLong, 64
	}
	switch kind {
	case reflect.Int8:
		return idByte, 8
	case reflect.Int16:
		return idShort, 16
	case reflect.Int32:
		return idInt, 32
	}
	return idLong, 64
}

func (e Encoding) list(b []byte, v reflect.Value, depth int) (_ []byte, err error) {
	b = appendString(b, idCollection, "ArrayList")
	for i := range v.Len() {
		if b, err = e.message(b, element, func(b []byte) ([]byte, error) { return e.object(b, v.Index(i), "", depth+1) }); err != nil {
			return nil, err
		}
	}
	return b, nil
}

// table appends a map, in the order of its keys as they are printed.
func (e Encoding) table(b []byte, v reflect.Value, depth int) (_ []byte, err error) {
	b = appendString(b, idMap, "HashMap")
	keys := v.MapKeys()
	slices.SortFunc(keys, func(x, y reflect.Value) int { return strings.Compare(fmt.Sprint(x), fmt.Sprint(y)) })
	for _, k := range keys {
		b, err = e.message(b, element, func(b []byte) (_ []byte, err error) {
			for n, one := range []reflect.Value{k, v.MapIndex(k)} {
				if !inside(one).IsValid() { // as Java's, without it
					continue
				}
				if b, err = e.message(b, protowire.Number(entryKey+n), func(b []byte) ([]byte, error) { return e.object(b, one, "", depth+1) }); err != nil {
					return nil, err
				}
			}
			return b, nil
		})
		if err != nil {
			return nil, err
		}
	}
	return b, nil
}
