package message

import "encoding/binary"

// SigningInput is what Leader.Signature signs: the topic, which names the cluster, the run of the envelope and
// every field but the signature. The layout is fixed, so that a field added later leaves it as it is.
//
//	| "skerry leader 1" 0 | topic 0 | run number 4 | run nonce 8 | term 4 | start 4 | time 8 | master |
func (l Leader) SigningInput(topic string, runNumber uint32, runNonce uint64) []byte {
	out := append([]byte("skerry leader 1\x00"), topic...)
	out = append(out, 0)
	out = binary.BigEndian.AppendUint32(out, runNumber)
	out = binary.BigEndian.AppendUint64(out, runNonce)
	out = binary.BigEndian.AppendUint32(out, l.Epoch.Term)
	out = binary.BigEndian.AppendUint32(out, l.Epoch.Start)
	out = binary.BigEndian.AppendUint64(out, uint64(l.Time))
	return append(out, l.Master...)
}
