package daemon

import (
	"os"
	"path/filepath"
	"testing"
)

func TestRooms(t *testing.T) {
	root := t.TempDir()
	if rooms := roomsIn(root, 0, 0); len(rooms) != 0 {
		t.Errorf("where nothing can be read there is %+v", rooms)
	}
	for file, content := range map[string]string{
		"proc/sys/kernel/pid_max": "32768\n", "proc/sys/kernel/threads-max": "many\n", "proc/meminfo": "MemAvailable: 17920000 kB\n",
	} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(root, file)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(root, file), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if rooms := roomsIn(root, 0, 100); len(rooms) != 2 || rooms[0].Environments != 0 || rooms[1].Of != "memory" {
		t.Errorf("with 100 files and nonsense for threads there is %+v", rooms)
	}
	if err := os.WriteFile(filepath.Join(root, "proc/sys/kernel/threads-max"), []byte("192730\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for budget, memory := range map[int64]int{0: 1000, 1400 << 20: 100} {
		got := map[string]int{}
		for _, room := range roomsIn(root, budget, 20000) {
			got[room.Of] = room.Environments
			if room.Why == "" || room.Mend == "" {
				t.Errorf("it is not said why: %+v", room)
			}
		}
		if got["open-files"] != 1233 || got["processes"] != 2730 || got["memory"] != memory || len(got) != 3 {
			t.Errorf("with a budget of %d there is room for %v", budget, got)
		}
	}
	if rooms := Rooms(Config{}); len(rooms) == 0 {
		t.Error("nothing is known of this machine")
	}
}
