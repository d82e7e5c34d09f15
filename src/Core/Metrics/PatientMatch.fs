// Matches of regular expressions under a limit of time. .NET counts it by the clock: a process that is stopped meanwhile, or waits long for a
// processor, uses it up without having looked.
namespace PeftAlign.Core.Metrics

open System
open System.Text.RegularExpressions

[<AbstractClass; Sealed>]
type internal PatientMatch =
    /// How often an expression may use up its time on a text: one that explodes does so each time.
    static member Tries = 3

    /// What `attempt` gives, which is made again where its time is up.
    /// Error: RegexMatchTimeoutException, the last one's.
    static member Of(attempt: Func<Match>) : Match =
        let rec next tries =
            try
                attempt.Invoke()
            with :? RegexMatchTimeoutException when tries < PatientMatch.Tries ->
                next (tries + 1)

        next 1
