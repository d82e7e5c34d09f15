// Positions and faults. A reader never stops at the first mistake: it adds a fault and goes on, so that one look at the
// output shows everything that is wrong. Assumes that lines and columns count from 1; line 0 is a --set override.
namespace PeftAlign.Core

/// <summary>One mistake in a manifest.</summary>
/// <remarks>Line and Column count from 1; they are 0 where the text came from a --set override.
/// Path is the place in the document, such as <c>methods.sft-q.rank</c>. Message names the value, the limit and the next action.</remarks>
type Fault =
    {
        Line: int
        Column: int
        Path: string
        Message: string
    }

    /// <summary>"line:column: path: message"; the caller puts the file's name before it.</summary>
    override fault.ToString() =
        let place =
            if fault.Line > 0 then
                $"{fault.Line}:{fault.Column}: "
            else
                ""

        let path = if fault.Path = "" then "" else fault.Path + ": "
        place + path + fault.Message

namespace PeftAlign.Core.Language

open System.Collections.Generic
open PeftAlign.Core

/// Where a node stands: in the file (Origin empty), or in a --set override (Origin is its text).
[<Struct>]
type internal Place =
    {
        Line: int
        Column: int
        Origin: string
    }

module internal Place =
    let none = { Line = 0; Column = 0; Origin = "" }

/// The collector that every stage writes to. The same message at the same place is kept once: an aliased node is read often.
type internal Faults() =
    let seen = HashSet<struct (int * int * string)>()
    let items = List<Fault>()

    member _.Count = items.Count

    member _.Add(mark: Place, path: string, message: string) =
        let message =
            if mark.Origin = "" then
                message
            else
                $"--set {mark.Origin}: {message}"

        if seen.Add(struct (mark.Line, mark.Column, message)) then
            items.Add
                {
                    Line = mark.Line
                    Column = mark.Column
                    Path = path
                    Message = message
                }

    /// In reading order.
    member _.Sorted() : Fault[] =
        items |> Seq.sortBy (fun fault -> fault.Line, fault.Column) |> Seq.toArray
