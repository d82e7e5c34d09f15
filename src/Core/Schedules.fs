// Learning-rate schedules: the factor by which the base rate is multiplied at each update, counted from 0.
// Definitions follow Hugging Face's schedules as measured in training runs (warm-up starts at 0).
namespace PeftAlign.Core

open System

/// Learning-rate schedules by name.
[<AbstractClass; Sealed>]
type Schedules private () =

    static let names =
        [| "linear"; "cosine"; "constant"; "constant_with_warmup"; "inverse_sqrt" |]

    /// transformers' timescale of inverse_sqrt without warm-up, in updates.
    static let defaultTimescale = 10_000

    /// Every known name.
    static member Names: string[] = Array.copy names

    /// The number of warm-up updates: `warmupSteps` where it is positive, else the ratio of all steps, rounded up.
    static member WarmupSteps(warmupSteps: int, warmupRatio: float, totalSteps: int) : int =
        if warmupSteps > 0 then
            warmupSteps
        else
            int (ceil (warmupRatio * float totalSteps))

    /// The factor at update `step` (0, 1, ...) of `total` updates, `warmup` of which rise linearly from 0.
    /// Raises ArgumentException for an unknown name.
    static member Factor(name: string, step: int, warmup: int, total: int) : float =
        let rest = float (step - warmup) / float (max 1 (total - warmup))

        match name with
        | "constant" -> 1.0
        | _ when step < warmup -> float step / float (max 1 warmup)
        | "constant_with_warmup" -> 1.0
        | "linear" -> max 0.0 (1.0 - rest)
        | "cosine" -> max 0.0 (0.5 * (1.0 + cos (Math.PI * rest)))
        | "inverse_sqrt" ->
            let scale = float (if warmup > 0 then warmup else defaultTimescale)
            1.0 / sqrt ((float step + scale - float warmup) / scale)
        | _ -> invalidArg (nameof name) $"""schedule '{name}' is not known; use one of {String.Join(", ", names)}"""
