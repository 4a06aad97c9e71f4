package api_test

import (
	"fmt"
	"reflect"
	"time"

	"abt2.dev"
)

// filled returns a T in which no field is zero and hardly any two are equal, so
// that a conversion which forgets or confuses a field shows.
func filled[T any]() T {
	var v T
	(&filler{}).fill(reflect.ValueOf(&v).Elem())
	return v
}

type filler struct{ n int64 }

func (f *filler) next() int64 { f.n++; return f.n }

func (f *filler) fill(v reflect.Value) {
	switch v.Interface().(type) {
	case time.Time:
		v.Set(reflect.ValueOf(time.Date(2026, 1, 2, 3, 4, 5, int(f.next()), time.UTC)))
		return
	case abt2.VersionID:
		v.Set(reflect.ValueOf(abt2.VersionID{Module: abt2.ModuleName(fmt.Sprintf("m%d", f.next())), Number: uint64(f.next())}))
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			f.fill(v.Field(i))
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		f.fill(v.Elem())
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		for i := range v.Len() {
			f.fill(v.Index(i))
		}
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		for range 2 {
			key, elem := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
			f.fill(key)
			f.fill(elem)
			v.SetMapIndex(key, elem)
		}
	case reflect.String:
		v.SetString(fmt.Sprintf("s%d", f.next()))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int64:
		v.SetInt(f.next())
	case reflect.Uint64:
		v.SetUint(uint64(f.next()))
	case reflect.Uint8:
		v.SetUint(uint64(f.next() % 200))
	default:
		panic(fmt.Sprintf("fill %s: teach the filler this kind", v.Type()))
	}
}
