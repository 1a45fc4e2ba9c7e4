package main

import (
	"errors"
	"fmt"
	"sync"
)

// creators is how many functions are created at once.
const creators = 16

// grow compares first invokes of one function with what they take when there are many functions.
func (b *bench) grow() error {
	if err := b.create("cold"); err != nil {
		return err
	}
	few, err := b.coldStarts()
	if err != nil {
		return err
	}
	numbers := make(chan int)
	failures := make([]error, creators)
	var all sync.WaitGroup
	for i := range creators {
		all.Go(func() {
			for n := range numbers {
				if failures[i] == nil {
					failures[i] = b.create(fmt.Sprint("function-", n))
				}
			}
		})
	}
	for n := range b.functions {
		numbers <- n
	}
	close(numbers)
	all.Wait()
	if err := errors.Join(failures...); err != nil {
		return err
	}
	many, err := b.coldStarts()
	if err != nil {
		return err
	}
	return show(struct {
		Language  string
		Functions int
		// ColdFew and ColdMany are medians of first invokes in milliseconds: with one function, and with all of them.
		ColdFew, ColdMany float64
	}{b.language, b.functions, milliseconds(few), milliseconds(many)})
}
