import com.baidu.beidou.navi.protocol.JsonSerializeHandler;
import com.baidu.beidou.navi.protocol.SerializeHandler;
import com.baidu.beidou.navi.server.vo.RequestDTO;
import com.baidu.beidou.navi.server.vo.ResponseDTO;

/** Serves with one of Navi's own codecs. */
public class NaviServer extends Server {
    private final SerializeHandler codec;

    NaviServer(SerializeHandler codec) {
        this.codec = codec;
    }

    public static void main(String[] args) throws Exception {
        new NaviServer(new JsonSerializeHandler()).run();
    }

    @Override
    byte[] answer(byte[] call) throws Exception {
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
