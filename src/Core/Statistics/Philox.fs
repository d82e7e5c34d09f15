// Philox4x32-10, the counter-based generator of Salmon et al., "Parallel random numbers: as easy as 1, 2, 3" (SC 2011).
// A stream is keyed by (seed, purpose); draw d is a function of its number alone, so neither order nor threads matter.
namespace PeftAlign.Core.Statistics

open System
open System.Runtime.Intrinsics
open System.Runtime.Intrinsics.X86
open System.Security.Cryptography
open System.Text

module internal Philox =
    /// Ten rounds over a 128-bit counter with a 64-bit key.
    let block (counter: struct (uint32 * uint32 * uint32 * uint32)) (key: uint64) =
        let mutable struct (a, b, c, d) = counter
        let mutable k0, k1 = uint32 key, uint32 (key >>> 32)

        for _ in 1..10 do
            let first = 0xD2511F53UL * uint64 a
            let second = 0xCD9E8D57UL * uint64 c
            a <- uint32 (second >>> 32) ^^^ b ^^^ k0
            c <- uint32 (first >>> 32) ^^^ d ^^^ k1
            b <- uint32 second
            d <- uint32 first
            k0 <- k0 + 0x9E3779B9u
            k1 <- k1 + 0xBB67AE85u

        struct (a, b, c, d)

    /// Blocks that are made at once.
    let together = 4

    /// Four lanes with a number of 32 bits each: products are of 64 bits, and what stands above a lane's lower half never counts.
    let private lanes (words: Span<uint32>) (block: uint64) (draw: uint64) (key: uint64) =
        let inline at k = block + uint64 k
        let inline all (number: uint64) = Vector256.Create number

        let inline half (number: uint64) =
            Vector256.ShiftRightLogical(all number, 32)

        let mutable a = Vector256.Create(at 0, at 1, at 2, at 3)
        let mutable b = Vector256.ShiftRightLogical(a, 32)
        let mutable c, d = all draw, half draw
        let mutable k0, k1 = all key, half key
        let m0, m1 = all 0xD2511F53UL, all 0xCD9E8D57UL
        let w0, w1 = all 0x9E3779B9UL, all 0xBB67AE85UL

        for _ in 1..10 do
            let first = Avx2.Multiply(a.AsUInt32(), m0.AsUInt32())
            let second = Avx2.Multiply(c.AsUInt32(), m1.AsUInt32())
            a <- Vector256.ShiftRightLogical(second, 32) ^^^ b ^^^ k0
            c <- Vector256.ShiftRightLogical(first, 32) ^^^ d ^^^ k1
            b <- second
            d <- first
            k0 <- k0 + w0
            k1 <- k1 + w1

        let inline pair (low: Vector256<uint64>) (high: Vector256<uint64>) =
            Vector256.BitwiseAnd(low, all 0xFFFFFFFFUL) ||| Vector256.ShiftLeft(high, 32)

        let ab, cd = pair a b, pair c d
        let even, odd = Avx2.UnpackLow(ab, cd), Avx2.UnpackHigh(ab, cd)
        Vector256.CopyTo(Avx2.Permute2x128(even, odd, 0x20uy).AsUInt32(), words)
        Vector256.CopyTo(Avx2.Permute2x128(even, odd, 0x31uy).AsUInt32(), words.Slice 8)

    /// The words of the blocks from `first` on, one after the other, of as many blocks as are made at once.
    let fill (words: uint32[]) (first: uint64) (draw: uint64) (key: uint64) =
        if Avx2.IsSupported then
            lanes (words.AsSpan()) first draw key
        else
            for k in 0 .. together - 1 do
                let number = first + uint64 k

                let struct (a, b, c, d) =
                    block (struct (uint32 number, uint32 (number >>> 32), uint32 draw, uint32 (draw >>> 32))) key

                words[4 * k] <- a
                words[4 * k + 1] <- b
                words[4 * k + 2] <- c
                words[4 * k + 3] <- d

    /// Hands on `count` indices in 0 .. bound-1 with replacement, with the place of each: Draw.Below's, without a call for each.
    let inline indices (key: uint64) (draw: uint64) count (bound: int) ([<InlineIfLambda>] take: int -> int -> unit) =
        let words = Array.zeroCreate<uint32>(4 * together)
        let range = uint64 bound
        let threshold = (0x100000000UL - range) % range
        let mutable next, block, place = words.Length, 0UL, 0

        while place < count do
            if next = words.Length then
                fill words block draw key
                block <- block + uint64 together
                next <- 0

            let product = uint64 words[next] * range
            next <- next + 1

            if (product &&& 0xFFFFFFFFUL) >= threshold then
                take place (int (product >>> 32))
                place <- place + 1

    /// Key of a stream: the first eight bytes of SHA-256 over the seed (little endian) and the purpose in UTF-8.
    let key (seed: int64) (purpose: string) =
        let bytes =
            Array.append (BitConverter.GetBytes seed) (Encoding.UTF8.GetBytes purpose)

        BitConverter.ToUInt64(SHA256.HashData bytes, 0)

/// The random words of one draw, in order; each (seed, purpose, draw) is a sequence of its own.
[<Sealed>]
type internal Draw(key: uint64, draw: uint64) =
    let words = Array.zeroCreate<uint32>(4 * Philox.together)
    let mutable next = words.Length
    let mutable block = 0UL

    member _.Word() =
        if next = words.Length then
            Philox.fill words block draw key
            block <- block + uint64 Philox.together
            next <- 0

        next <- next + 1
        words[next - 1]

    /// Uniform on 0 .. bound-1 without bias (Lemire 2019): the few words that would tip the balance are drawn again.
    member this.Below(bound: int) =
        let range = uint64 bound
        let mutable product = uint64 (this.Word()) * range

        // Only a remainder below the range can be one too many, so the division is rare.
        if (product &&& 0xFFFFFFFFUL) < range then
            let threshold = (0x100000000UL - range) % range

            while (product &&& 0xFFFFFFFFUL) < threshold do
                product <- uint64 (this.Word()) * range

        int (product >>> 32)

/// A random stream for resampling, keyed by (seed, purpose). Draw numbers start at 0.
[<Sealed>]
type RandomStream(seed: int64, purpose: string) =
    let key = Philox.key seed purpose

    /// `count` indices in 0 .. bound-1 with replacement.
    member _.Indices(draw: int64, count: int, bound: int) : int[] =
        if bound < 1 then
            Guard.fail $"cannot draw from {bound} observations; at least 1 is needed."

        let found = Array.zeroCreate<int> count
        Philox.indices key (uint64 draw) count bound (fun place index -> found[place] <- index)
        found

    /// The indices that Indices gives, as many as there is room for.
    member internal _.Fill(draw: int64, bound: int, indices: int[]) =
        Philox.indices key (uint64 draw) indices.Length bound (fun place index -> indices[place] <- index)

    /// How often each of times.Length observations is drawn in as many draws: what Indices gives, counted.
    member internal _.Count(draw: int64, times: float[]) =
        Array.Clear times
        Philox.indices key (uint64 draw) times.Length times.Length (fun _ index -> times[index] <- times[index] + 1.0)

    /// `count` signs, +1 or -1 with equal probability.
    member _.Signs(draw: int64, count: int) : int[] =
        let source = Draw(key, uint64 draw)
        Array.init count (fun _ -> if source.Word() >>> 31 = 0u then 1 else -1)

    /// A random order of 0 .. count-1 (Fisher and Yates).
    member _.Permutation(draw: int64, count: int) : int[] =
        let source = Draw(key, uint64 draw)
        let order = Array.init count id

        for i in count - 1 .. -1 .. 1 do
            let j = source.Below(i + 1)
            let held = order[i]
            order[i] <- order[j]
            order[j] <- held

        order

    /// Independent draws of another level (for example items within a drawn seed): a stream of its own.
    member internal _.Child(name: string) =
        RandomStream(seed, purpose + "/" + name)
