//go:build race

package p2p

// raceDetector says that the tests were built with the race detector.
const raceDetector = true
