// A method is a pure function of log-probs: it turns records into completion groups and log-probs into a loss.

namespace PeftAlign.Abstractions;

/// <summary>An alignment method: SFT, DPO, KTO ...</summary>
public interface IAlignmentMethod
{
    /// <summary>What the engine must provide beside the policy's log-probs.</summary>
    MethodNeeds Needs { get; }

    /// <summary>Turns records into groups. Called with batch_size records, in order; Loss then gets the whole batch.</summary>
    /// <param name="records">The batch.</param>
    /// <param name="context">Tokenizer, limits, and the ledger that counts every token cut, kept and trained.</param>
    /// <exception cref="UserErrorException">A record lacks a field that the method needs.</exception>
    IReadOnlyList<CompletionGroup> Prepare(IReadOnlyList<DataRecord> records, PrepareContext context);

    /// <summary>
    /// Whether Prepare may be called by several threads at once, each with other records and a ledger of its own: what it gives then depends on its
    /// arguments and the options alone. Such a method's rows are looked at by all threads of the training before its first step.
    /// </summary>
    bool PreparesConcurrently => false;

    /// <summary>The loss of one batch as numerator / denominator. Over an accumulation window the engine minimises the sum of numerators divided by the sum of denominators.</summary>
    /// <param name="batch">Log-probs of exactly the groups that Prepare returned.</param>
    MethodLoss Loss(ScoredBatch batch);
}

/// <summary>
/// Optional for a method: arranges the whole data set once, before the first step. The rows it returns replace the data set's, and
/// Prepare gets batches of them. This is the place to tokenise rows once, to pack or split them, or to join them with each other.
/// </summary>
public interface IArrangesRecords
{
    /// <summary>The rows to train on, in order. Counts every row in the ledger, so Prepare must not count them again.</summary>
    /// <param name="records">The whole data set, in file order.</param>
    /// <param name="context">As for Prepare.</param>
    /// <exception cref="UserErrorException">A record lacks a field that the method needs.</exception>
    IReadOnlyList<DataRecord> Arrange(IReadOnlyList<DataRecord> records, PrepareContext context);
}

/// <summary>
/// Optional for a method: numbers that outlive a batch, such as running means. Loss changes the tensors in place. Checkpoints hold them,
/// a resumed training restores their values, and a pass over eval_data leaves them as they were.
/// </summary>
public interface IKeepsState
{
    /// <summary>The tensors by name: the same tensors, of the same shapes, for as long as the method lives.</summary>
    IReadOnlyDictionary<string, Torch.Tensor> State { get; }
}

/// <summary>What a method needs from the engine.</summary>
/// <param name="Reference">Whether log-probs under the reference model are needed.</param>
public sealed record MethodNeeds(bool Reference)
{
    /// <summary>
    /// Per-token statistics of the policy by name: "entropy" (nats), "argmax_hit" (1 where the token is the most probable one),
    /// "log_sum_square" (log of the sum of squared probabilities), "mean_logit" (over the vocabulary), all without gradient, and
    /// "mean_log_prob" (over the vocabulary), with gradient.
    /// </summary>
    public IReadOnlyList<string> Statistics { get; init; } = [];

    /// <summary>
    /// Whether the model has a score head with one output, as reward models do. LogProbs then hold, instead of a token's log-prob, the
    /// score of the text before that token. To score a sequence, append one token of any id and give a weight to it alone.
    /// The trained model is written as a sequence classifier.
    /// </summary>
    public bool Scores { get; init; }

    /// <summary>Whether the adapter's dropout is active in training; off where policy and reference are compared as they are.</summary>
    public bool Dropout { get; init; } = true;

    /// <summary>In training, the largest share of a sequence's tokens that are hidden from the tokens after them; each group of each update draws its own share up to this.</summary>
    public double HiddenPast { get; init; }
}

/// <summary>A batch's loss.</summary>
/// <param name="Numerator">Scalar tensor with gradient.</param>
/// <param name="Denominator">Positive; SFT: trained tokens, DPO: 1 after a mean over the batch.</param>
/// <param name="Metrics">Numbers for metrics.jsonl under TRL's names; the trainer averages them over the micro-batches of a step.</param>
public sealed record MethodLoss(Torch.Tensor Numerator, double Denominator, IReadOnlyDictionary<string, double> Metrics);

/// <summary>What Prepare may use.</summary>
/// <param name="Tokenizer">The model's tokenizer; null where only tokenised rows are given.</param>
/// <param name="MaxLength">Most tokens that prompt and completion may have together.</param>
/// <param name="Ledger">Counts of tokens and rows.</param>
public sealed record PrepareContext(ITokenizer? Tokenizer, int MaxLength, MaskLedger Ledger)
{
    /// <summary>The model's chat template; null where it has none.</summary>
    public IChatTemplate? ChatTemplate { get; init; }

    /// <summary>Most tokens that a prompt may have; null = prompts have no limit of their own.</summary>
    public int? MaxPromptLength { get; init; }

    /// <summary>Whether truncation cuts off the start (truncation: keep_end) rather than the end.</summary>
    public bool KeepEnd { get; init; }

    /// <summary>How rows are packed: bfd, bfd_split or wrapped; null = not at all.</summary>
    public string? Packing { get; init; }

    /// <summary>Number of records in a micro-batch.</summary>
    public int BatchSize { get; init; } = 1;

    /// <summary>For rows of eval_data, the number of records in a micro-batch of the training; null for rows that are trained.</summary>
    public int? TrainingBatchSize { get; init; }

    /// <summary>Where sequences are scored, tokens of this id at a sequence's end are taken for padding; null = none are.</summary>
    public int? PadToken { get; init; }

    /// <summary>Threads that may work on rows; what comes of the rows does not depend on it.</summary>
    public int Threads { get; init; } = 1;

    /// <summary>The chat template, or the error that says why it is needed.</summary>
    /// <param name="record">The row that holds messages.</param>
    /// <exception cref="UserErrorException">There is no template.</exception>
    public IChatTemplate RequireTemplate(DataRecord record) =>
        ChatTemplate ?? throw new UserErrorException($"{record.Place}: the row holds messages, but the model has no chat template; put chat_template.jinja beside config.json, choose one with chat_template, or give plain texts.");

    /// <summary>The tokenizer, or the error that says why it is needed.</summary>
    /// <param name="record">The row that holds text.</param>
    /// <exception cref="UserErrorException">There is no tokenizer.</exception>
    public ITokenizer RequireTokenizer(DataRecord record) =>
        Tokenizer ?? throw new UserErrorException($"{record.Place}: the row holds text, but the model's folder has no tokenizer; put tokenizer.json beside config.json or give tokenised rows (prompt_ids, completion_ids).");
}

/// <summary>
/// Counts what became of every token and row; written as ledger.json. Every token of a row is kept, cut or refused. A prompt
/// counts once for each of its answers, as in TRL's num_tokens.
/// </summary>
public sealed class MaskLedger
{
    /// <summary>Rows seen.</summary>
    public long Rows { get; set; }

    /// <summary>Rows without a token to train: refused, but where rows are packed, in which they take their room.</summary>
    public long RowsWithoutTrainedToken { get; set; }

    /// <summary>Pairs whose two answers have the same tokens, so that neither is preferred.</summary>
    public long RowsWithEqualAnswers { get; set; }

    /// <summary>Pairs with an answer that is an empty text, of which at most the end token is trained.</summary>
    public long RowsWithEmptyAnswer { get; set; }

    /// <summary>Rows that truncation shortened.</summary>
    public long RowsTruncated { get; set; }

    /// <summary>Rows whose prompt is tokenised differently alone than before its answer; the tokens that differ count as the answer's.</summary>
    public long RowsWithShiftedBoundary { get; set; }

    /// <summary>Trained answers whose last token is the tokenizer's end token and is trained too.</summary>
    public long AnswersWithTrainedEnd { get; set; }

    /// <summary>Tokens that went into the model, prompts included.</summary>
    public long TokensKept { get; set; }

    /// <summary>Tokens cut off by truncation.</summary>
    public long TokensCut { get; set; }

    /// <summary>Tokens of refused rows (without those that truncation cut off), and of packed documents in which nothing is trained.</summary>
    public long TokensRefused { get; set; }

    /// <summary>Tokens whose log-prob counts in the loss.</summary>
    public long TokensTrained { get; set; }

    /// <summary>Adds another ledger's counts.</summary>
    /// <param name="other">Of other rows.</param>
    public void Add(MaskLedger other)
    {
        Rows += other.Rows;
        RowsWithoutTrainedToken += other.RowsWithoutTrainedToken;
        RowsWithEqualAnswers += other.RowsWithEqualAnswers;
        RowsWithEmptyAnswer += other.RowsWithEmptyAnswer;
        RowsTruncated += other.RowsTruncated;
        RowsWithShiftedBoundary += other.RowsWithShiftedBoundary;
        AnswersWithTrainedEnd += other.AnswersWithTrainedEnd;
        TokensKept += other.TokensKept;
        TokensCut += other.TokensCut;
        TokensRefused += other.TokensRefused;
        TokensTrained += other.TokensTrained;
    }
}
