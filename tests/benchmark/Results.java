import java.io.IOException;
import java.io.PrintStream;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Collectors;

/** All that was measured, for people as a table and for programs as JSON. */
final class Results {

    private static final String ROW = "  %-46s %-16s %7s %10s %10s %10s %9s%n";

    private final Map<String, Object> circumstances;
    private final Samples gets = new Samples();
    private final Map<Figure, Map<Candidate, Samples>> figures = new LinkedHashMap<>();
    private final Map<Scenario, Map<Candidate, Integer>> twoLeaders = new TreeMap<>();

    /** Nothing measured yet, under circumstances, such as machine and versions, that have to be known with the figures. */
    Results(Map<String, Object> circumstances) {
        this.circumstances = new LinkedHashMap<>(circumstances);
    }

    /** Adds a circumstance, or replaces it. */
    void add(String circumstance, Object value) {
        circumstances.put(circumstance, value);
    }

    /** Adds a value; what was not seen within its limit is infinite. */
    void note(Candidate candidate, Figure figure, double value) {
        figures.computeIfAbsent(figure, key -> new LinkedHashMap<>()).computeIfAbsent(candidate, key -> new Samples()).add(value);
    }

    /** Adds the seconds that a GET of the Lease took: what the machine and the API server were worth meanwhile. */
    void noteGet(double seconds) {
        gets.add(seconds);
    }

    /** Adds revisions of pods at which more than one was labelled. */
    void noteTwoLeaders(Candidate candidate, Scenario scenario, int revisions) {
        twoLeaders.computeIfAbsent(scenario, key -> new LinkedHashMap<>()).merge(candidate, revisions, Integer::sum);
    }

    /** What was measured in a scenario by that name, of each candidate; empty if nothing was. */
    Map<Candidate, Samples> samples(Scenario scenario, String name) {
        return figures.entrySet().stream().filter(entry -> entry.getKey().scenario() == scenario && entry.getKey().name().equals(name))
                .map(Map.Entry::getValue).findFirst().orElse(Map.of());
    }

    // --- For people ----------------------------------------------------------------------------------------------------

    /** Prints everything, one block for each scenario. */
    void print(PrintStream out) {
        circumstances.forEach((name, value) -> out.printf("%s: %s%n", name, value));
        out.printf("GET of the Lease: median %s, p90 %s, of %d%n", Figure.showSeconds(gets.median()),
                Figure.showSeconds(gets.quantile(0.9)), gets.count());
        for (Scenario scenario : twoLeaders.keySet()) {
            out.printf("%n%s: %s%n" + ROW, scenario, scenario.title(), "", "", "rounds", "median", "p90", "max", "x GET");
            figures.entrySet().stream().filter(figure -> figure.getKey().scenario() == scenario)
                    .forEach(figure -> print(out, figure.getKey(), figure.getValue()));
            out.println("  revisions with two leaders: " + twoLeaders.get(scenario).entrySet().stream()
                    .map(count -> count.getKey() + " " + count.getValue()).collect(Collectors.joining(", ")));
        }
    }

    private void print(PrintStream out, Figure figure, Map<Candidate, Samples> measured) {
        String name = figure.name();
        for (Map.Entry<Candidate, Samples> row : measured.entrySet()) {
            Samples samples = row.getValue();
            out.printf(ROW, name, row.getKey(), samples.count(), figure.show(samples.median()), figure.show(samples.quantile(0.9)),
                    figure.show(samples.max()), inGets(figure, samples));
            name = "";
        }
    }

    private String inGets(Figure figure, Samples samples) {
        return figure.unit() == Figure.Unit.SECONDS && Double.isFinite(samples.median())
                ? "%.0f".formatted(samples.median() / gets.median()) : "";
    }

    // --- For programs --------------------------------------------------------------------------------------------------

    /** Writes {@code results.json}: seconds, MiB and counts, with all samples; null is what did not happen within its limit. */
    void write(Path folder) {
        Map<String, Object> json = new LinkedHashMap<>(circumstances);
        json.put("getSeconds", summary(gets));
        List<Object> list = new ArrayList<>();
        figures.forEach((figure, measured) -> measured.forEach((candidate, samples) -> list.add(json(figure, candidate, samples))));
        json.put("figures", list);
        Map<String, Object> counts = new LinkedHashMap<>();
        twoLeaders.forEach((scenario, byCandidate) -> {
            Map<String, Object> inScenario = new LinkedHashMap<>();
            byCandidate.forEach((candidate, count) -> inScenario.put(candidate.name(), count));
            counts.put(scenario.toString(), inScenario);
        });
        json.put("revisionsWithTwoLeaders", counts);
        try {
            Files.createDirectories(folder);
            Files.writeString(folder.resolve("results.json"), Json.print(json) + "\n");
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private Map<String, Object> json(Figure figure, Candidate candidate, Samples samples) {
        Map<String, Object> json = new LinkedHashMap<>();
        json.put("scenario", figure.scenario().toString());
        json.put("figure", figure.name());
        json.put("unit", figure.unit().toString().toLowerCase());
        json.put("limit", finite(figure.limit()));
        json.put("candidate", candidate.name());
        json.putAll(summary(samples));
        if (figure.unit() == Figure.Unit.SECONDS) {
            json.put("medianInGets", finite(samples.median() / gets.median()));
        }
        return json;
    }

    private static Map<String, Object> summary(Samples samples) {
        Map<String, Object> summary = new LinkedHashMap<>();
        summary.put("rounds", samples.count());
        summary.put("median", finite(samples.median()));
        summary.put("p90", finite(samples.quantile(0.9)));
        summary.put("max", finite(samples.max()));
        summary.put("samples", samples.values().stream().map(Results::finite).toList());
        return summary;
    }

    private static Double finite(double value) {
        return Double.isFinite(value) ? value : null;
    }
}
