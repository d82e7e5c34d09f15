// Which jobs may run next, over many random graphs: each is taken after what it depends on, jobs of a process belong together,
// what is put back comes again, and a failure takes all of its dependents and nothing else.

using PeftAlign.Core;
using PeftAlign.Host.Running;

namespace PeftAlign.Host.Tests.Running;

public sealed class AgendaTests
{
    [Test]
    public void Every_job_is_done_once_after_its_dependencies_or_lost_with_one_that_failed([Range(1, 60)] int seed)
    {
        var random = new Random(seed);
        var jobs = Graph(random, random.Next(1, 200));
        var before = jobs.Where(job => random.Next(5) == 0).Select(job => job.Id).ToHashSet();
        var (done, failed, lost) = (new HashSet<string>(before), new HashSet<string>(), new HashSet<string>());
        var agenda = new Agenda(jobs, job => before.Contains(job.Id), Shares);
        Assert.That(agenda.AlreadyFinished, Is.EqualTo(before.Count));
        while (agenda.HasReady)
        {
            var taken = agenda.Take(random.Next(1, 4));
            Assert.That(taken, Has.Count.InRange(1, Agenda.MostTogether));
            Assert.That(taken.Count == 1 || taken.All(job => Shares(job) && job.Group == taken[0].Group), "only jobs of one group share a process");
            Assert.That(taken.SelectMany(job => job.DependsOn).Where(on => !done.Contains(on)), Is.Empty, "taken too early");
            foreach (var job in taken)
                switch (random.Next(6))
                {
                    case 0:
                        agenda.PutBack(job);
                        break;
                    case 1 when random.Next(3) == 0:
                        failed.Add(job.Id);
                        foreach (var other in agenda.Failed(job)) Assert.That(lost.Add(other.Id), "lost twice");
                        break;
                    default:
                        Assert.That(done.Add(job.Id), "done twice");
                        agenda.Finished(job);
                        break;
                }
        }
        Assert.That(done.Count + failed.Count + lost.Count, Is.EqualTo(jobs.Count));
        foreach (var job in jobs.Where(job => !before.Contains(job.Id)))
            Assert.That(lost.Contains(job.Id), Is.EqualTo(job.DependsOn.Any(on => failed.Contains(on) || lost.Contains(on))), "lost if and only if something that it needs is");
    }

    [Test]
    public void A_group_is_dealt_out_over_the_free_places_in_the_plans_order_and_64_at_most()
    {
        var jobs = Enumerable.Range(0, 7).Select(k => Job($"{k}", "evaluate", k < 5 ? "a" : "b", [])).ToList();
        var agenda = new Agenda(jobs, _ => false, Shares);
        string Next(int places) => string.Join(' ', agenda.Take(places).Select(job => job.Id));
        Assert.That((string[])[Next(2), Next(1), Next(4), Next(1)], Is.EqualTo((string[])["0 1 2", "3 4", "5", "6"]));
        Assert.That(agenda.HasReady, Is.False);
        agenda.PutBack(jobs[4]);
        agenda.PutBack(jobs[1]);
        Assert.That(Next(1), Is.EqualTo("1 4"));

        var many = new Agenda([.. Enumerable.Range(0, 150).Select(k => Job($"{k}", "evaluate", "a", []))], _ => false, Shares);
        Assert.That((int[])[many.Take(1).Count, many.Take(1).Count, many.Take(1).Count], Is.EqualTo((int[])[64, 64, 22]));
        var trainings = new Agenda([Job("x", "train", "a", []), Job("y", "train", "a", [])], _ => false, Shares);
        Assert.That(trainings.Take(1), Has.Count.EqualTo(1), "a training has its process for itself");
    }

    private static bool Shares(PlanJob job) => job.Kind == "evaluate";

    private static List<PlanJob> Graph(Random random, int count)
    {
        var jobs = new List<PlanJob>();
        for (var k = 0; k < count; k++)
            jobs.Add(Job($"{k}", random.Next(2) == 0 ? "evaluate" : "train", $"{random.Next(4)}", [.. jobs.Where(_ => random.Next(count) < 2).Select(job => job.Id)]));
        return jobs;
    }

    private static PlanJob Job(string id, string kind, string group, string[] dependsOn) =>
        new(id, kind, $"{kind}/{id}", [$"{kind}/{id}"], new Dictionary<string, string>(), [], "{}", "{}", dependsOn, [], [], "", [], group);
}
