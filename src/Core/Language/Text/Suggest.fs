// Did-you-mean: the nearest known name by Damerau-Levenshtein distance (optimal string alignment), else the list of names.
module internal PeftAlign.Core.Language.Suggest

open System

/// Edits (insert, delete, replace, swap of neighbours) from one word to the other; O(|a||b|).
let distance (a: string) (b: string) =
    let d = Array2D.zeroCreate (a.Length + 1) (b.Length + 1)

    for i in 0 .. a.Length do
        d[i, 0] <- i

    for j in 0 .. b.Length do
        d[0, j] <- j

    for i in 1 .. a.Length do
        for j in 1 .. b.Length do
            let cost = if a[i - 1] = b[j - 1] then 0 else 1
            d[i, j] <- min (min (d[i - 1, j] + 1) (d[i, j - 1] + 1)) (d[i - 1, j - 1] + cost)

            if i > 1 && j > 1 && a[i - 1] = b[j - 2] && a[i - 2] = b[j - 1] then
                d[i, j] <- min d[i, j] (d[i - 2, j - 2] + 1)

    d[a.Length, b.Length]

let private plain (word: string) =
    word.ToLowerInvariant().Replace('-', '_')

/// The nearest of the names, if it is near: at most a third of the letters differ (long texts are never compared).
let nearest (names: string seq) (wrong: string) =
    if wrong.Length > 80 then
        None
    else
        let wrong = plain wrong

        names
        |> Seq.filter (fun name -> name.Length <= 80)
        |> Seq.map (fun name -> distance (plain name) wrong, name)
        |> Seq.filter (fun (edits, name) -> edits <= max 1 (max name.Length wrong.Length / 3))
        |> Seq.sort
        |> Seq.tryHead
        |> Option.map snd

/// "; did you mean 'x'?" or nothing.
let near (names: string seq) (wrong: string) =
    match nearest names wrong with
    | Some name -> $"; did you mean '{name}'?"
    | None -> ""

/// "; did you mean 'x'?" or "; known: a, b, c" or "; none is declared".
let hint (names: string seq) (wrong: string) =
    match nearest names wrong with
    | Some name -> $"; did you mean '{name}'?"
    | None ->
        let names = names |> Seq.distinct |> Seq.toArray
        Array.Sort(names, StringComparer.Ordinal)

        if names.Length = 0 then
            "; none is declared"
        elif names.Length <= 20 then
            "; known: " + String.Join(", ", names)
        else
            "; known: "
            + String.Join(", ", Array.truncate 20 names)
            + $" and {names.Length - 20} more"

/// A value as a message shows it: short, on one line, nothing in it that a terminal would obey.
let shown (text: string) =
    let plain letter =
        if letter = '\r' || letter = '\n' then " "
        elif Char.IsControl letter then $"\\u{int letter:x4}"
        else string letter

    let line = String.collect plain (text.Substring(0, min text.Length 100))

    if line.Length <= 60 then
        $"'{line}'"
    else
        $"'{line.Substring(0, 57)}...'"
