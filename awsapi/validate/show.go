package validate

import (
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"hotaru/awsapi"
	"hotaru/awsapi/internal/plan"
)

// maxShown bounds what a message repeats of a value.
const maxShown = 8192

// show writes a value as AWS's Java does.
func show(p *plan.Plan, v reflect.Value) string {
	var b strings.Builder
	write(&b, p, v)
	if b.Len() > maxShown {
		return strings.ToValidUTF8(b.String()[:maxShown], "") + "..."
	}
	return b.String()
}

func write(b *strings.Builder, p *plan.Plan, v reflect.Value) {
	v, ok := plan.Present(v)
	if !ok {
		b.WriteString("null")
		return
	}
	if b.Len() > maxShown {
		return
	}
	switch p.Shape.Kind {
	case awsapi.KindString:
		b.WriteString(v.String())
	case awsapi.KindBoolean:
		b.WriteString(strconv.FormatBool(v.Bool()))
	case awsapi.KindInteger, awsapi.KindLong:
		b.WriteString(strconv.FormatInt(v.Int(), 10))
	case awsapi.KindFloat, awsapi.KindDouble:
		b.Write(plan.AppendFloat(nil, v.Float()))
	case awsapi.KindTimestamp:
		b.WriteString(v.Interface().(time.Time).UTC().Format("Mon Jan 02 15:04:05 UTC 2006"))
	case awsapi.KindBlob:
		if v.Kind() == reflect.Slice {
			n := strconv.Itoa(v.Len())
			b.WriteString("java.nio.HeapByteBuffer[pos=0 lim=" + n + " cap=" + n + "]")
		}
	case awsapi.KindList:
		b.WriteByte('[')
		for i := range v.Len() {
			if i > 0 {
				b.WriteString(", ")
			}
			write(b, p.Element.Plan, v.Index(i))
		}
		b.WriteByte(']')
	case awsapi.KindMap:
		writeMap(b, p, v)
	case awsapi.KindStructure:
		b.WriteString(p.Shape.Name + "(")
		for i := range p.Fields {
			if i > 0 {
				b.WriteString(", ")
			}
			f := &p.Fields[i]
			b.WriteString(join("", f.Name) + "=")
			if f.Plan.Shape.Sensitive {
				b.WriteString("***Sensitive Data Redacted***")
				continue
			}
			write(b, f.Plan, f.Of(v))
		}
		b.WriteByte(')')
	}
}

func writeMap(b *strings.Builder, p *plan.Plan, v reflect.Value) {
	keys := v.MapKeys()
	slices.SortFunc(keys, func(x, y reflect.Value) int { return strings.Compare(x.String(), y.String()) })
	b.WriteByte('{')
	for i, key := range keys {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(key.String() + "=")
		write(b, p.Value.Plan, v.MapIndex(key))
	}
	b.WriteByte('}')
}
