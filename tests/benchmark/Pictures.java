import java.awt.BasicStroke;
import java.awt.Color;
import java.awt.Font;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;
import org.knowm.xchart.VectorGraphicsEncoder;
import org.knowm.xchart.VectorGraphicsEncoder.VectorGraphicsFormat;
import org.knowm.xchart.XYChart;
import org.knowm.xchart.XYChartBuilder;
import org.knowm.xchart.XYSeries;
import org.knowm.xchart.style.Styler.LegendPosition;
import org.knowm.xchart.style.XYStyler;
import org.knowm.xchart.style.markers.SeriesMarkers;

/**
 * Cumulative distributions as SVG: how many of all rounds were done after how long, all candidates in one picture. The background is
 * transparent and all colours are of medium lightness, so that they can be read on white as well as on black.
 */
final class Pictures {

    private static final int WIDTH = 860;
    private static final int HEIGHT = 420;
    private static final Color NOTHING = new Color(0, 0, 0, 0);
    private static final Color TEXT = new Color(0x7d8590);
    private static final Color GRID = new Color(125, 133, 144, 70);
    private static final List<Color> COLOURS = List.of(new Color(0x2f81f7), new Color(0xdb6d28), new Color(0x3fa34d), new Color(0xa371f7));
    private static final List<BasicStroke> STROKES = List.of(new BasicStroke(2.6f), dashed(9, 5), dashed(2.6f, 5));

    private Pictures() {
    }

    private static BasicStroke dashed(float line, float space) {
        return new BasicStroke(2.6f, BasicStroke.CAP_BUTT, BasicStroke.JOIN_ROUND, 10, new float[] {line, space}, 0);
    }

    /** Writes {@code handover.svg} and {@code takeover.svg}, as far as something was measured for them. */
    static void write(Results results, Timings timings, Path folder) throws IOException {
        Map<Scenario, String> handovers = new TreeMap<>(Map.of(Scenario.HANDOVER, "SIGTERM", Scenario.DELETION, "pod deleted"));
        Map<Scenario, String> takeovers = new TreeMap<>(Map.of(Scenario.CRASH, "crash, pod stays", Scenario.GONE, "dead, pod removed"));
        write("Hand-over", results, handovers, timings, folder.resolve("handover.svg"));
        write("Take-over", results, takeovers, timings, folder.resolve("takeover.svg"));
    }

    private static void write(String title, Results results, Map<Scenario, String> scenarios, Timings timings, Path file)
            throws IOException {
        XYChart chart = new XYChartBuilder().width(WIDTH).height(HEIGHT).title(title + " at " + timings)
                .xAxisTitle("seconds until the next pod is labelled").yAxisTitle("share of the rounds, %").build();
        double slowest = scenarios.keySet().stream().flatMap(scenario -> finite(results, scenario).values().stream())
                .flatMap(List::stream).mapToDouble(Double::doubleValue).max().orElse(0);
        int stroke = 0;
        for (Map.Entry<Scenario, String> scenario : scenarios.entrySet()) {
            int colour = 0;
            for (Map.Entry<Candidate, List<Double>> measured : finite(results, scenario.getKey()).entrySet()) {
                int rounds = results.samples(scenario.getKey(), Course.NEXT_LABELLED).get(measured.getKey()).count();
                String name = measured.getKey() + ": " + scenario.getValue() + " (" + rounds + ")";
                XYSeries line = addSteps(chart, name, measured.getValue(), rounds, slowest);
                line.setMarker(SeriesMarkers.NONE);
                line.setLineStyle(STROKES.get(stroke));
                line.setLineColor(COLOURS.get(colour++ % COLOURS.size()));
            }
            stroke++;
        }
        if (slowest > 0) {
            style(chart.getStyler());
            ByteArrayOutputStream svg = new ByteArrayOutputStream();
            VectorGraphicsEncoder.saveVectorGraphic(chart, svg, VectorGraphicsFormat.SVG);
            // Text is drawn as paths; a tenth of a pixel is enough for them, and halves the file.
            Files.writeString(file, svg.toString(StandardCharsets.UTF_8).replaceAll("(\\d\\.\\d)\\d+", "$1"));
        }
    }

    /** By candidate what was seen within its limit, in ascending order. */
    private static Map<Candidate, List<Double>> finite(Results results, Scenario scenario) {
        Map<Candidate, List<Double>> finite = new LinkedHashMap<>();
        results.samples(scenario, Course.NEXT_LABELLED).forEach((candidate, samples) ->
                finite.put(candidate, samples.sorted().stream().filter(Double::isFinite).toList()));
        finite.values().removeIf(List::isEmpty);
        return finite;
    }

    /** From 0 % at the first value to the right border; less than 100 % there if some were not seen. */
    private static XYSeries addSteps(XYChart chart, String name, List<Double> ascending, int rounds, double slowest) {
        List<Double> x = new ArrayList<>();
        List<Double> y = new ArrayList<>();
        for (int i = 0; i < ascending.size(); i++) {
            x.addAll(List.of(ascending.get(i), ascending.get(i)));
            y.addAll(List.of(100.0 * i / rounds, 100.0 * (i + 1) / rounds));
        }
        x.add(slowest);
        y.add(y.getLast());
        return chart.addSeries(name, x, y);
    }

    private static void style(XYStyler style) {
        style.setLocale(Locale.ROOT).setXAxisLogarithmic(true).setXAxisDecimalPattern("0.###").setYAxisMin(0.0).setYAxisMax(100.0)
                .setYAxisDecimalPattern("0");
        style.setPlotGridLinesColor(GRID).setAxisTickLabelsColor(TEXT).setAxisTickMarksColor(TEXT).setChartFontColor(TEXT)
                .setChartBackgroundColor(NOTHING).setPlotBackgroundColor(NOTHING).setPlotBorderColor(GRID)
                .setLegendBackgroundColor(NOTHING).setLegendBorderColor(NOTHING).setLegendPosition(LegendPosition.OutsideS)
                .setChartTitleBoxVisible(false);
        Font font = new Font(Font.SANS_SERIF, Font.PLAIN, 14);
        style.setAxisTickLabelsFont(font).setAxisTitleFont(font).setLegendFont(font).setChartTitleFont(font.deriveFont(Font.BOLD, 16f));
    }
}
