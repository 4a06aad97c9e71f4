import com.baidu.beidou.navi.protocol.JsonSerializeHandler;
import com.baidu.beidou.navi.server.vo.RequestDTO;
import com.baidu.beidou.navi.server.vo.ResponseDTO;

/** Serves with Navi's own codec. */
public class NaviServer extends Server {
    public static void main(String[] args) throws Exception {
        new NaviServer().run();
    }

    @Override
    byte[] answer(byte[] call) throws Exception {
        JsonSerializeHandler codec = new JsonSerializeHandler();
        RequestDTO in = codec.deserialize(call, RequestDTO.class, Orders.class, null);
        Outcome outcome = invoke(in.getMethod(), in.getParamterTypes(), in.getParameters());
        ResponseDTO out = new ResponseDTO();
        out.setTraceId(in.getTraceId());
        out.setStatus(outcome.status);
        out.setResult(outcome.result);
        if (outcome.error != null) {
            out.setError(new RuntimeException(outcome.error));
        }
        return codec.serialize(out, ResponseDTO.class);
    }
}
