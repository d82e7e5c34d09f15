// Philox4x32-10, the counter-based generator of Salmon et al., "Parallel random numbers: as easy as 1, 2, 3" (SC 2011).
// A stream is keyed by (seed, purpose); draw d is a function of its number alone, so neither order nor threads matter.
namespace PeftAlign.Core.Statistics

open System
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

    /// Key of a stream: the first eight bytes of SHA-256 over the seed (little endian) and the purpose in UTF-8.
    let key (seed: int64) (purpose: string) =
        let bytes =
            Array.append (BitConverter.GetBytes seed) (Encoding.UTF8.GetBytes purpose)

        BitConverter.ToUInt64(SHA256.HashData bytes, 0)

/// The random words of one draw, in order; each (seed, purpose, draw) is a sequence of its own.
type internal Draw(key: uint64, draw: uint64) =
    let words = Array.zeroCreate<uint32> 4
    let mutable next = 4
    let mutable block = 0UL

    member _.Word() =
        if next = 4 then
            let struct (a, b, c, d) =
                Philox.block (struct (uint32 block, uint32 (block >>> 32), uint32 draw, uint32 (draw >>> 32))) key

            words[0] <- a
            words[1] <- b
            words[2] <- c
            words[3] <- d
            block <- block + 1UL
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

        let source = Draw(key, uint64 draw)
        Array.init count (fun _ -> source.Below bound)

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
