package function

import "testing"

func TestIsOwnTag(t *testing.T) {
	for key, want := range map[string][2]bool{
		"": {}, "name": {}, "hotaru": {}, "nothotaru:sandbox": {}, "hotaru-sandbox": {},
		"hotaru:": {true, false}, "hotaru:sandboxes": {true, false}, "HOTARU:sandbox": {true, false}, "hotaru:Sandbox": {true, false},
		"hotaru:sandbox": {true, true},
	} {
		if own, known := IsOwnTag(key); own != want[0] || known != want[1] {
			t.Errorf("%q: %v, %v, want %v", key, own, known, want)
		}
	}
}
