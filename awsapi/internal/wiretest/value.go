// Package wiretest helps the tests of the wire: it turns values into plain data and back by plan, and makes services
// of models that have no generated types. It must not be imported by anything but tests.
package wiretest

import (
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"strings"
	"time"

	"hotaru/awsapi"
	"hotaru/awsapi/internal/plan"
)

// Plain turns a value into maps, slices, strings, float64s and bools. Times are seconds since 1970, blobs are text.
// What is absent is left out.
func Plain(p *plan.Plan, v reflect.Value) any {
	v, ok := plan.Present(v)
	if !ok {
		return nil
	}
	switch p.Shape.Kind {
	case awsapi.KindStructure:
		m := map[string]any{}
		for i := range p.Fields {
			f := &p.Fields[i]
			if field, ok := plan.Present(f.Of(v)); ok {
				m[f.Name] = Plain(f.Plan, field)
			}
		}
		return m
	case awsapi.KindList:
		list := []any{}
		for i := range v.Len() {
			list = append(list, Plain(p.Element.Plan, v.Index(i)))
		}
		return list
	case awsapi.KindMap:
		m := map[string]any{}
		for _, key := range v.MapKeys() {
			m[key.String()] = Plain(p.Value.Plan, v.MapIndex(key))
		}
		return m
	case awsapi.KindString:
		return v.String()
	case awsapi.KindBoolean:
		return v.Bool()
	case awsapi.KindInteger, awsapi.KindLong:
		return float64(v.Int())
	case awsapi.KindFloat, awsapi.KindDouble:
		if n := v.Float(); !math.IsNaN(n) && !math.IsInf(n, 0) {
			return n
		}
		return string(plan.AppendFloat(nil, v.Float()))
	case awsapi.KindTimestamp:
		return float64(v.Interface().(time.Time).UnixMilli()) / 1000
	case awsapi.KindBlob:
		return string(v.Bytes())
	default:
		var document any
		if err := json.Unmarshal(v.Bytes(), &document); err != nil {
			return err.Error()
		}
		return document
	}
}

// Fill stores plain data in a settable value.
func Fill(p *plan.Plan, v reflect.Value, data any) error {
	if data == nil && p.Shape.Kind != awsapi.KindDocument {
		return nil
	}
	switch p.Shape.Kind {
	case awsapi.KindStructure:
		return fillStructure(p, plan.Settle(v), data)
	case awsapi.KindList:
		list, ok := data.([]any)
		if !ok {
			return mismatch(p, data)
		}
		v.Set(reflect.MakeSlice(v.Type(), len(list), len(list)))
		for i := range list {
			if err := Fill(p.Element.Plan, v.Index(i), list[i]); err != nil {
				return err
			}
		}
	case awsapi.KindMap:
		m, ok := data.(map[string]any)
		if !ok {
			return mismatch(p, data)
		}
		v.Set(reflect.MakeMap(v.Type()))
		for key, value := range m {
			element := reflect.New(v.Type().Elem()).Elem()
			if err := Fill(p.Value.Plan, element, value); err != nil {
				return err
			}
			v.SetMapIndex(reflect.ValueOf(key), element)
		}
	case awsapi.KindDocument:
		b, err := json.Marshal(data)
		if err != nil {
			return err
		}
		v.SetBytes(b)
	case awsapi.KindBlob:
		text, ok := data.(string)
		if !ok {
			return mismatch(p, data)
		}
		v.SetBytes([]byte(text))
	default:
		return fillScalar(p, plan.Settle(v), data)
	}
	return nil
}

func fillStructure(p *plan.Plan, v reflect.Value, data any) error {
	m, ok := data.(map[string]any)
	if !ok {
		return mismatch(p, data)
	}
	for name, value := range m {
		found := false
		for i := range p.Fields {
			if f := &p.Fields[i]; f.Name == name {
				found = true
				if err := Fill(f.Plan, f.Of(v), value); err != nil {
					return err
				}
			}
		}
		if !found {
			return fmt.Errorf("%s has no member %s", p.Shape.Name, name)
		}
	}
	return nil
}

func fillScalar(p *plan.Plan, v reflect.Value, data any) error {
	switch d := data.(type) {
	case string:
		if v.Kind() == reflect.String {
			v.SetString(d)
			return nil
		}
		if n, err := plan.ParseFloat(d); err == nil && v.Kind() == reflect.Float64 {
			v.SetFloat(n)
			return nil
		}
	case bool:
		v.SetBool(d)
		return nil
	case float64:
		switch p.Shape.Kind {
		case awsapi.KindInteger, awsapi.KindLong:
			v.SetInt(int64(d))
			return nil
		case awsapi.KindFloat, awsapi.KindDouble:
			v.SetFloat(d)
			return nil
		case awsapi.KindTimestamp:
			v.Set(reflect.ValueOf(time.UnixMilli(int64(math.Round(d * 1000))).UTC()))
			return nil
		}
	}
	return mismatch(p, data)
}

func mismatch(p *plan.Plan, data any) error {
	return fmt.Errorf("%s cannot hold %T %v", p.Shape.Name, data, data)
}

// goName is the exported name of a member.
func goName(name string) string { return strings.ToUpper(name[:1]) + name[1:] }
