// A document's nodes with their positions. Anchored nodes are shared, not copied; each carries its expanded size and depth, so
// that bounds can be kept without walking it again.
namespace PeftAlign.Core.Language

open System

type internal Node(mark: Place, body: Body) =
    let sum (f: Node -> int) =
        match body with
        | Sequence items -> items |> Array.sumBy f
        | Mapping entries -> entries |> Array.sumBy (fun entry -> f entry.Value)
        | _ -> 0

    let deepest =
        match body with
        | Sequence items -> items |> Array.fold (fun deepest item -> max deepest item.Depth) 0
        | Mapping entries -> entries |> Array.fold (fun deepest entry -> max deepest entry.Value.Depth) 0
        | _ -> 0

    let size = 1 + sum (fun node -> node.Size)
    member _.Mark = mark
    member _.Body = body
    /// Nodes of this subtree, aliases counted as often as they are used.
    member _.Size: int = size
    /// 1 for a scalar.
    member _.Depth: int = deepest + 1

and internal Body =
    | Scalar of Scalars.Scalar * written: string
    | Sequence of Node[]
    | Mapping of Entry[]
    /// A fault has been reported here: readers pass over it in silence.
    | Broken

and internal Entry =
    {
        Key: string
        KeyMark: Place
        /// Whether the key stands without quotes and without a tag: other tools make numbers of some texts.
        IsPlain: bool
        Value: Node
        /// 0 for the mapping's own; what came in through '<<' lies farther, and of two that came in the one that counts lies nearer.
        Distance: int
    }

module internal Nodes =
    let describe (node: Node) =
        match node.Body with
        | Scalar(Scalars.Null, _) -> "nothing"
        | Scalar(value, written) -> $"{Scalars.kind value} {Suggest.shown written}"
        | Sequence items -> $"a list of {items.Length}"
        | Mapping entries -> $"a mapping of {entries.Length}"
        | Broken -> "a broken value"

    /// The greatest distance of these entries.
    let farthest (entries: Entry seq) =
        entries |> Seq.fold (fun most entry -> max most entry.Distance) 0

    /// The data without its positions, keys sorted: equal for equal data.
    let rec private plain (node: Node) : string =
        match node.Body with
        | Scalar(value, _) -> string value
        | Sequence items -> "[" + String.Join(", ", items |> Array.map plain) + "]"
        | Mapping entries -> "{" + written (List.ofArray entries) + "}"
        | Broken -> "?"

    and written (entries: Entry list) : string =
        entries
        |> List.map (fun entry -> entry.Key + ": " + plain entry.Value)
        |> List.sort
        |> String.concat ", "
