import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.lang.reflect.Method;
import java.net.HttpURLConnection;
import java.net.URL;
import java.util.List;
import java.util.Random;
import org.codehaus.jackson.JsonNode;
import org.codehaus.jackson.map.DeserializationConfig;
import org.codehaus.jackson.map.ObjectMapper;
import org.codehaus.jackson.node.ArrayNode;
import org.codehaus.jackson.node.ObjectNode;

/**
 * Calls as Navi's client was seen to, and is as particular about answers: TestWhatNavisClientInsistsOn names each of
 * its demands, and holds for both.
 */
public class StandInCaller extends Caller {
    private static final String JSON = "application/baidu.json";
    private static final int ATTEMPTS = 2;

    private final ObjectMapper json = new ObjectMapper().configure(DeserializationConfig.Feature.FAIL_ON_UNKNOWN_PROPERTIES, false);
    private int turn;

    public static void main(String[] args) throws Exception {
        new StandInCaller().run();
    }

    /** What another instance may make good. */
    private static class RpcException extends Exception {
        RpcException(String what) {
            super(what);
        }
    }

    @Override
    Object call(List<String> urls, Method method, Object[] arguments) throws Throwable {
        turn++;
        for (int attempt = 1;; attempt++, turn++) {
            try {
                return call(new URL(urls.get(turn % urls.size())), method, arguments);
            } catch (RpcException e) {
                if (attempt == ATTEMPTS || attempt == urls.size()) {
                    throw e;
                }
            }
        }
    }

    private Object call(URL url, Method method, Object[] arguments) throws Throwable {
        JsonNode answer;
        try {
            answer = json.readTree(post(url, request(method, arguments)));
        } catch (IOException e) {
            throw new RpcException(e.getMessage());
        }
        if (answer.get("result") == null) {
            throw new RpcException("the answer has no result");
        }
        JsonNode error = answer.path("error");
        if (error.isObject()) {
            throw new Throwable(error.get("cause").get("message").getTextValue());
        }
        Class<?> type = method.getReturnType();
        return type == void.class ? null : json.treeToValue(answer.get("result"), type);
    }

    private byte[] request(Method method, Object[] arguments) throws IOException {
        ObjectNode out = json.createObjectNode();
        out.put("traceId", new Random().nextLong());
        out.put("method", method.getName());
        ArrayNode types = out.putArray("paramterTypes");
        ArrayNode values = out.putArray("parameters");
        for (int i = 0; i < arguments.length; i++) {
            types.add(method.getParameterTypes()[i].getName());
            values.add(json.valueToTree(arguments[i]));
        }
        return json.writeValueAsBytes(out);
    }

    private byte[] post(URL url, byte[] body) throws IOException, RpcException {
        HttpURLConnection c = (HttpURLConnection) url.openConnection();
        c.setConnectTimeout(1000);
        c.setReadTimeout(5000);
        c.setRequestMethod("POST");
        c.setDoOutput(true);
        c.setRequestProperty("Content-Type", JSON + ";charset=UTF-8");
        try (OutputStream out = c.getOutputStream()) {
            out.write(body);
        }
        boolean refusal = c.getResponseCode() != HttpURLConnection.HTTP_OK && c.getContentType().equals(JSON) && c.getErrorStream() != null;
        try (InputStream in = refusal ? c.getErrorStream() : c.getInputStream()) {
            int length = c.getContentLength();
            if (length <= 0) {
                throw new RpcException("the answer has no length");
            }
            return in.readNBytes(length);
        }
    }
}
