// Binding options to their schemas: types, ranges, choices, aliases, defaults, unknown and missing keys, and grids. The result
// is canonical: an option that is not given has its default, an alias its proper name, an absent one without default no key.
module internal PeftAlign.Core.Language.Options

open System
open System.Text.Json
open PeftAlign.Core

/// A contract with its bound options (a Map).
type Bound = { Contract: Contract; Options: Tree }

/// Any value, as it is written.
let rec plain context path (node: Node) : Tree option =
    match node.Body with
    | Scalar(Scalars.Null, _) -> Some Null
    | Scalar(Scalars.Flag flag, _) -> Some(Flag flag)
    | Scalar(Scalars.Whole whole, _) -> Some(Whole whole)
    | Scalar(Scalars.Real real, _) -> Some(Real real)
    | Scalar(Scalars.Text text, _) -> Some(Text text)
    | Sequence items ->
        let items =
            items |> Array.mapi (fun i -> plain context (Readers.at path i)) |> List.ofArray

        if items |> List.forall Option.isSome then
            Some(List(items |> List.map Option.get))
        else
            None
    | Mapping entries ->
        let items =
            [
                for entry in entries -> entry.Key, plain context (Readers.join path entry.Key) entry.Value
            ]

        if items |> List.forall (fun (_, item) -> item.IsSome) then
            Some(Map(items |> List.map (fun (key, item) -> key, item.Value)))
        else
            None
    | Broken -> None

let private quietly context =
    { context with
        Faults = Faults()
        Uses = ResizeArray<Use>()
    }

/// Reads one value as the shape says.
let rec value context path shape (node: Node) : Tree option =
    let reading reader make =
        (reader: Reader<_>).Read context path node |> Option.map make

    match shape with
    | Anything -> plain context path node
    | AnyText -> reading Readers.text Text
    | Choice(names, spellings) -> reading (Readers.spelt names spellings) Text
    | Integer range -> reading (Readers.integer range) Whole
    | Number range -> reading (Readers.number range) Real
    | Truth -> reading Readers.truth Flag
    | FilePath -> reading (Readers.filled FilePath) (fun path -> Content(path, node.Mark))
    | Name kind -> reading (Readers.name kind) (fun name -> Refer(kind, name, node.Mark))
    | ListOf inner -> reading (Readers.list (reader inner)) List
    | MapOf inner -> mapping context path inner node
    | Either shapes -> either context path shapes node
    | RowFields
    | Record _
    | Configured _ -> Readers.fault context node path "a record is no value of an option"

and private reader shape : Reader<Tree> =
    {
        Shape = shape
        Read = fun context path node -> value context path shape node
    }

and private mapping context path inner node =
    let items = (Readers.texts (reader inner)).Read context path node

    items
    |> Option.bind (fun items ->
        if items |> List.forall (fun (_, _, item) -> item.IsSome) then
            Some(Map(items |> List.map (fun (name, _, item) -> name, item.Value)))
        else
            None)

/// The first alternative that fits without a fault; if none does, the faults of the one that looks right, where there is just one.
and private either context path shapes node =
    let looksRight shape =
        match shape, node.Body with
        | ListOf _, Sequence _
        | MapOf _, Mapping _ -> true
        | (ListOf _ | MapOf _), _ -> false
        | _, Scalar _ -> true
        | _ -> false

    match shapes |> List.filter looksRight with
    | [] when node.Body.IsBroken -> None
    | [] -> Readers.fault context node path $"expected {Shape.describe (Either shapes)}, not {Nodes.describe node}"
    | [ single ] -> value context path single node
    | several ->
        let attempt shape =
            let trial = quietly context
            value trial path shape node |> Option.map (fun found -> found, trial.Uses)

        match several |> List.tryPick attempt with
        | Some(found, uses) ->
            context.Uses.AddRange uses
            Some found
        | None -> Readers.fault context node path $"expected {Shape.describe (Either several)}, not {Nodes.describe node}"

/// `{ grid: [a, b] }` where a grid may stand, else a plain value.
let private gridOrValue context path shape (node: Node) =
    match node.Body with
    | Mapping [| { Key = "grid"; Value = items } |] ->
        (Readers.filledList (reader shape)).Read context (Readers.join path "grid") items
        |> Option.map Grid
    | _ -> value context path shape node

/// A default is JSON; numbers and paths take their option's type.
let defaultOf (option: OptionSchema) =
    let rec typed shape tree =
        match shape, tree with
        | Number _, Whole whole -> Real(float whole)
        | FilePath, Text "" -> Text ""
        | FilePath, Text path -> Content(path, Place.none)
        | ListOf inner, List items -> List(items |> List.map (typed inner))
        | MapOf inner, Map entries -> Map(entries |> List.map (fun (key, item) -> key, typed inner item))
        | Either [ single; ListOf _ ], tree when not tree.IsList -> typed single tree
        | Either [ FilePath; (ListOf FilePath as list) ], tree -> typed list tree
        | _ -> tree

    match option.Default with
    | null
    | "" -> None
    | text ->
        try
            match Shape.ofOption option, Tree.ofJson text with
            | _, Null -> None
            // An empty path names nothing; as a path it would be the manifest's own folder.
            | FilePath, Text "" -> None
            | shape, tree -> Some(typed shape tree)
        with :? JsonException ->
            raise (System.ArgumentException $"the default of option '{option.Name}' is not JSON: {text}")

let private spellings (option: OptionSchema) =
    option.Name :: (option.Aliases |> List.ofSeq)

let private isNothing (node: Node) =
    match node.Body with
    | Scalar(Scalars.Null, _) -> true
    | _ -> false

/// The entries that give this option; more than one spelling is a fault.
let private given context path (option: OptionSchema) (entries: Entry list) =
    let names = spellings option

    // What stands nearer wins (the mapping's own over what it inherits), whatever its spelling; two equally near are a fault.
    match
        entries
        |> List.filter (fun entry -> List.contains entry.Key names)
        |> List.sortBy _.Distance
    with
    | first :: second :: _ when first.Distance = second.Distance ->
        context.Faults.Add(
            second.KeyMark,
            Readers.join path second.Key,
            $"'{second.Key}' and '{first.Key}' are one option; remove one of them"
        )

        Some first
    | first :: _ -> Some first
    | [] -> None

/// The texts of a value, of every variant of a grid and every item of a list.
let rec private texts tree =
    match tree with
    | Grid items
    | List items -> items |> List.collect texts
    | Recorded inner -> texts inner
    | Text text -> [ text ]
    | other -> [ Tree.options other ]

/// Whether a value is what another option asks for: its text, or above a bound such as ">0".
let private isMeant (value: string) (wanted: string) =
    let number (text: string) =
        match Double.TryParse(text, Globalization.CultureInfo.InvariantCulture) with
        | true, found -> Some found
        | _ -> None

    value = wanted
    || wanted.StartsWith '>'
       && Option.map2 (>) (number value) (number (wanted.Substring 1)) = Some true

/// Whether a value, in every variant of a grid, is the one that holds where none is given.
let rec isDefault (option: OptionSchema) tree =
    match tree with
    | Recorded inner -> isDefault option inner
    | Grid items -> items |> List.forall (isDefault option)
    | item ->
        defaultOf option
        |> Option.exists (fun usual -> Tree.options usual = Tree.options item)

/// The values with which an option means something: another option's name, and texts or bounds; none where any value will do.
let condition (option: OptionSchema) =
    match option.OnlyWith.Split '=' with
    | [| other; values |] when values <> "" -> Some(other, values.Split '|')
    | parts when parts[0] <> "" -> Some(parts[0], [||])
    | _ -> None

/// Whether the bound options give an option its meaning; of a grid, one variant will do.
let isMeaningful (bound: (string * Tree) list) (other, wanted: string[]) =
    match bound |> List.tryFind (fun (name, _) -> name = other) with
    | None -> false
    | Some _ when wanted.Length = 0 -> true
    | Some(_, tree) -> texts tree |> List.exists (fun value -> wanted |> Array.exists (isMeant value))

/// An option that the other options make meaningless is a fault, never ignored, unless it is given its default.
let private applies context path (entries: Entry list) (bound: (string * Tree) list) (option: OptionSchema) =
    let refuse (entry: Entry) (other, wanted: string[]) =
        let has =
            match bound |> List.tryFind (fun (name, _) -> name = other) with
            | None -> $"there is no {other}"
            | Some(_, tree) -> $"{other} is " + String.Join(", ", texts tree)

        let condition =
            if wanted.Length = 0 then
                other
            else
                other + " " + String.Join(" | ", wanted)

        context.Faults.Add(
            entry.KeyMark,
            Readers.join path entry.Key,
            $"'{option.Name}' is used with {condition} only, and {has}; remove it (null removes an inherited one) or change that"
        )

    let isThis (entry: Entry) =
        List.contains entry.Key (spellings option) && not (isNothing entry.Value)

    let saysNothing =
        bound
        |> List.exists (fun (name, tree) -> name = option.Name && isDefault option tree)

    match entries |> List.tryFind isThis, condition option with
    | Some entry, Some condition when not saysNothing && not (isMeaningful bound condition) -> refuse entry condition
    | _ -> ()

/// Whether a list, or one of a grid's variants, holds nothing; a text stands for a list of one.
let rec private isEmpty tree =
    match tree with
    | List []
    | Text "" -> true
    | Grid items -> items |> List.exists isEmpty
    | _ -> false

let private maxVariants = 1000

let recorded (option: OptionSchema) tree =
    if option.Recorded then Recorded tree else tree

/// How many combinations of grids a tree has.
let rec variantCount tree : float =
    match tree with
    | Grid items -> float items.Length
    | Recorded inner -> variantCount inner
    | Map entries -> entries |> List.fold (fun count (_, item) -> count * variantCount item) 1.0
    | _ -> 1.0

/// The value of one option: what its entry says, else its default. None where it is faulty, Some None where it has no value.
let private bindOne context path owner (mark: Place) allowGrid (entries: Entry list) (option: OptionSchema) =
    match given context path option entries with
    | Some entry when not (isNothing entry.Value) ->
        let read = if allowGrid then gridOrValue else value

        let bound =
            read context (Readers.join path entry.Key) (Shape.ofOption option) entry.Value

        if option.Filled && bound |> Option.exists isEmpty then
            Readers.fault
                context
                entry.Value
                (Readers.join path entry.Key)
                $"'{option.Name}' is empty; name at least one, or leave it out"
        else
            bound |> Option.map (fun tree -> Some(option.Name, recorded option tree))
    | _ ->
        match defaultOf option with
        | Some tree -> Some(Some(option.Name, recorded option tree))
        | None when option.Required ->
            context.Faults.Add(
                mark,
                path,
                $"{owner} needs the option '{option.Name}' ({Shape.describe (Shape.ofOption option)}); it is missing"
            )

            None
        | None -> Some None

/// The options that the entries give under these schemas; None with faults where they are wrong. `others` are keys that stand beside
/// the options (for suggestions).
let bind
    context
    path
    (owner: string)
    (mark: Place)
    (others: string list)
    allowGrid
    (schemas: OptionSchema list)
    (entries: Entry list)
    =
    let names = schemas |> List.collect spellings

    for entry in entries do
        if not (List.contains entry.Key names) then
            let hint = Suggest.hint (names @ others) entry.Key
            context.Faults.Add(entry.KeyMark, Readers.join path entry.Key, $"{owner} has no option '{entry.Key}'{hint}")

    let bound = schemas |> List.map (bindOne context path owner mark allowGrid entries)

    schemas
    |> List.iter (applies context path entries (bound |> List.choose Option.flatten))

    if bound |> List.forall Option.isSome then
        let bound = bound |> List.choose Option.get
        let count = variantCount (Map bound)

        if count > float maxVariants then
            context.Faults.Add(mark, path, $"the grids of {owner} have {count} combinations; the limit is {maxVariants}")
            None
        else
            Some bound
    else
        None
