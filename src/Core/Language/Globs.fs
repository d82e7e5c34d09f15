// Patterns of labels: * any characters ('/' too), ? one character, all else itself.
module internal PeftAlign.Core.Language.Globs

/// Linear in text times stars: on a mismatch the last star takes one more character.
let matches (pattern: string) (text: string) =
    let mutable p, t, star, resume = 0, 0, -1, 0
    let mutable failed = false

    while not failed && t < text.Length do
        if p < pattern.Length && pattern[p] = '*' then
            star <- p
            resume <- t
            p <- p + 1
        elif p < pattern.Length && (pattern[p] = '?' || pattern[p] = text[t]) then
            p <- p + 1
            t <- t + 1
        elif star >= 0 then
            p <- star + 1
            resume <- resume + 1
            t <- resume
        else
            failed <- true

    not failed && pattern.Substring(p).Trim('*') = ""
