(defprotocol Feed [Source Sink]
  (mu t (-> Source Sink int) again))
