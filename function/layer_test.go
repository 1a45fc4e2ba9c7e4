package function_test

import (
	"testing"

	"hotaru/function"
)

func TestParseLayers(t *testing.T) {
	here := function.ID{Partition: "aws", Region: "us-east-1", Account: "000000000000"}
	for _, name := range []string{
		"", "a:b", "arn:aws:lambda:us-east-1:000000000000:layer", "arn:aws:lambda:us-east-1:000000000000:function:l",
		"arn:aws:lambda:us-east-1:000000000000:layer:l:1", "arn:aws:s3:us-east-1:000000000000:layer:l",
		"arn:aws:lambda:us-east-1:nobody:layer:l", "arn:aws:lambda:us-east-1:000000000000:layer:",
	} {
		if id, ok := function.ParseLayerName(name, here); ok {
			t.Errorf("%q is %v", name, id)
		}
	}
	for _, arn := range []string{
		"", "l:1", "arn:", "arn:aws:lambda:us-east-1:000000000000:layer:l", "arn:aws:lambda:us-east-1:000000000000:layer:l:",
		"arn:aws:lambda:us-east-1:000000000000:layer:l:-1", "arn:aws:lambda:us-east-1:000000000000:layer:l:99999999999999999999",
		"arn:aws:lambda:::awslayer:l",
	} {
		if id, number, err := function.ParseLayerVersionARN(arn); err == nil {
			t.Errorf("%q is %v, %d", arn, id, number)
		}
	}
	const arn = "arn:aws:lambda:eu-west-1:111122223333:layer:my-layer_2"
	id, ok := function.ParseLayerName(arn, here)
	if !ok || id.ARN() != arn || id.Name != "my-layer_2" || id.Account != "111122223333" {
		t.Errorf("%q is %v, %v", arn, id, ok)
	}
	if id, ok := function.ParseLayerName("l", here); !ok || id.ARN() != "arn:aws:lambda:us-east-1:000000000000:layer:l" {
		t.Errorf("l is %v, %v", id, ok)
	}
	id, number, err := function.ParseLayerVersionARN(arn + ":12")
	if err != nil || id.VersionARN(number) != arn+":12" || number != 12 {
		t.Errorf("%v %d %v", id, number, err)
	}
}
