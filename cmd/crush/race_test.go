//go:build race

package main

// raceDetector says that the tests, and with them the programs that they start,
// were built with the race detector.
const raceDetector = true
