// A trie of tokens over UTF-16 units, as one hash table of edges.
namespace PeftAlign.Models.Text.Models;

/// <summary>Finds the tokens that a text starts with, unit by unit.</summary>
internal sealed class TokenTrie
{
    /// <summary>The node to start from.</summary>
    public const int Root = 0;

    private readonly int[] _rootEdges = new int[0x10000];       // first unit -> node, or 0
    private readonly List<int> _tokens = [-1];                  // by node: the token that ends here, or -1
    private ulong[] _keys = new ulong[1 << 10];                 // node << 16 | unit, plus 1; 0: free
    private int[] _targets = new int[1 << 10];
    private int _edges;

    public TokenTrie(IEnumerable<KeyValuePair<string, int>> tokens)
    {
        foreach (var (token, id) in tokens)
        {
            if (token.Length == 0) continue;
            var node = Root;
            foreach (var unit in token) node = StepOrAdd(node, unit);
            _tokens[node] = id;
        }
    }

    /// <summary>The token that ends at a node, or -1.</summary>
    public int Token(int node) => _tokens[node];

    /// <summary>Follows a unit; false where no token goes on so.</summary>
    public bool Step(ref int node, char unit)
    {
        node = node == Root ? _rootEdges[unit] : _targets[Find(node, unit)];
        return node != 0;
    }

    private int StepOrAdd(int node, char unit)
    {
        if (node == Root)
        {
            if (_rootEdges[unit] == 0) _rootEdges[unit] = NewNode();
            return _rootEdges[unit];
        }
        var slot = Find(node, unit);
        if (_targets[slot] != 0) return _targets[slot];
        if (++_edges * 2 > _keys.Length)
        {
            GrowTable();
            slot = Find(node, unit);
        }
        (_keys[slot], _targets[slot]) = (Key(node, unit), NewNode());
        return _targets[slot];
    }

    private int NewNode()
    {
        _tokens.Add(-1);
        return _tokens.Count - 1;
    }

    private int Find(int node, char unit)
    {
        var key = Key(node, unit);
        var mask = _keys.Length - 1;
        for (var i = (int)(key * 0x9E3779B97F4A7C15UL >> 40); ; i++)
        {
            var at = i & mask;
            if (_keys[at] == key || _keys[at] == 0) return at;
        }
    }

    private void GrowTable()
    {
        var (keys, targets) = (_keys, _targets);
        (_keys, _targets) = (new ulong[keys.Length * 2], new int[keys.Length * 2]);
        for (var i = 0; i < keys.Length; i++)
        {
            if (keys[i] == 0) continue;
            var slot = Find((int)((keys[i] - 1) >> 16), (char)(keys[i] - 1));
            (_keys[slot], _targets[slot]) = (keys[i], targets[i]);
        }
    }

    private static ulong Key(int node, char unit) => ((ulong)node << 16 | unit) + 1;
}
