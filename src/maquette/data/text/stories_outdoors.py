"""Plots of the built-in stories that happen out of doors: weather, water, wood and street.

Standard library only; `stories.py` explains the notation.
"""

PLOTS = {
    "rain": """
        cast: when hero elder
        let where = home | home from school | home from the market | home from the river
        let wet = duck | sock | fish
        - {When} {A} was walking {where} when the sky went dark. / {When} dark clouds came over the
          hill while {A} was walking {where}.
        - Then it began to rain in big, cold drops. / Soon the rain came down in buckets.
        - {He} had no umbrella and no coat. / {He} had left {his} umbrella by the door at home.
        - So {he} got wet from head to toe. / Water ran down {his} neck and filled {his} boots.
        - "You look like a wet {wet}," said {E}, and fetched a towel. / "I am as wet as {a_wet},"
          said {A}. {E} laughed and gave {him} a towel.
        - {A} sat by the fire until {his} socks were dry. / Soon {he} was sitting by the fire with
          dry socks and a cup of hot milk.
        - The next day {he} took {his} umbrella, and of course the sun shone all day. / "I like the
          rain now," said {A}. "It is on the other side of the window." / After that {he} never went
          out without {his} umbrella.
        """,
    "umbrella": """
        cast: when hero friend
        let what = umbrella | coat | blanket
        let song = a song about rain | a song about frogs | every song they knew
        - {When} it rained, but {A} had a big red umbrella. / {When} {A} went out in the rain with
          {his} new red umbrella.
        - By the bridge {he} met {his} friend {B}, who had none. / Under a tree stood {his} friend
          {B}, without one.
        - Water dripped from {bhis} nose. / {B} was as wet as a frog.
        - "Come under mine," said {A}. "Is there room for two?" asked {B}. / "May I walk with you?"
          asked {B}. "Yes," said {A}. "There is room for two."
        - There was not quite room for two, so each of them had one wet shoulder. / {A} held it
          high, and they walked close together.
        -? They sang {song} and walked through every puddle. / They stepped over the small puddles
          and jumped into the big ones.
        - When they came to {B}'s door, the rain stopped. / At the corner the sun came out.
        - "Is it over already?" asked {B}. / "Let us walk on anyway," said {A}. So they did. / They
          were almost sorry that it was dry.
        """,
    "breeze": """
        cast: when hero friend place
        let thing, found, back = hat; a duck was sitting in it; They waited until the duck went for
          a swim | scarf; a scarecrow was wearing it; They gave the scarecrow an old sack instead |
          hat; a cow was looking at it; They gave the cow a bunch of fresh grass instead | scarf; a
          goat was chewing it; They gave the goat a cabbage instead | hat; it was sailing down the
          river; They fished it out with a long stick | scarf; it hung from the tallest tree; They
          shook the tree until it came down
        - {When} {A} and {B} were {at_place}, and the wind was strong. / {When} a wild wind blew
          {at_place}, and {A} and {B} had to hold on to each other.
        - It took {A}'s {thing} and carried it away. / Whoosh! Away flew {A}'s {thing}.
        -? "Stop!" cried {A}, but the wind did not listen. / "Come back!" cried {A}, but it only
          flew faster.
        - They ran after it, over the wall and past the mill. / They ran as fast as they could, and
          {B} lost a shoe.
        - When they found the {thing}, {found}. / At last they saw it again. Look, {found}!
        - {back}, and {A} had {his} {thing} again. / {back}. Then {A} had {his} {thing} again.
        - {He} held it with both hands all the way home. / "Next time I will tie it on," said {A}. /
          It smelled a little strange, but {A} did not mind. / "You should buy a heavier {thing},"
          said {B}.
        """,
    "kite": """
        cast: when hero friend place
        let colour = red | blue | green | yellow
        let shape = fish | bird | star
        - {When} the wind was good, and {A} and {B} took a {colour} kite {to_place}. / {When} {A}
          and {his} {rel} {B} had made a {colour} kite like {a_shape}. They took it {to_place}.
        - {A} ran, and up it went, higher than the birds. / {B} held the string and {A} ran. The
          kite went up and up.
        - Then it dived and got stuck in a tree. / But the wind turned, and the kite flew into the
          top of a tree.
        - {A} threw a stick at it, and then the stick was stuck too. / {A} threw {his} shoe at it.
          Now the kite was stuck, and so was the shoe.
        - "Stop throwing things," said {B}. "We need a ladder." / "What now?" asked {A}. "Now we
          need a ladder," said {B}.
        - They fetched one from the farm, and {B} climbed up. / The farmer brought one, and {B}
          climbed up to the top.
        - Down came everything. / Soon the kite was down, and all the rest too. / {B} threw
          everything down, and an old nest as well.
        - They flew the kite until the stars came out. / After that they flew the kite far away from
          the trees. / "I could see the sea from up there," said {B}.
        """,
    "snowman": """
        cast: hero friend elder
        let nose = carrot | potato | pine cone | red pepper
        let wear = hat | scarf | coat
        let eyes = two stones | two nuts | two buttons
        - One winter morning the whole garden was white. / In the night it had snowed, and the
          garden was white and quiet.
        - {A} and {his} {rel} {B} made a snowman with {eyes} for eyes. / {A} and {B} rolled three
          big balls of snow and made a snowman.
        - They gave it {a_nose} for a nose, and {A} gave it {his} {wear}. / It had {a_nose} for a
          nose, and it wore {A}'s {wear}.
        -? "Is it cold?" asked {B}. "It likes the cold," said {A}. / "It looks like {E}," said {B}.
          "It is not so loud," said {A}.
        - The next day the sun was warm, and the snowman grew thin. / But then the sun came out, and
          the snowman got smaller and smaller.
        - On the third day there was only a puddle, with the {nose} in it. / Soon there was nothing
          left but the {nose} and the {wear}, lying in a puddle.
        - "Where did it go?" asked {B}. "Into the ground," said {A}. "The flowers will drink it." /
          {A} hung the {wear} by the fire to dry. / "It went home," said {A}. "It will come back
          with the snow."
        - In spring a yellow flower grew on that very spot. / And in spring that was where the first
          flowers came up. / The next winter they made another one, and it looked just the same.
        """,
    "fog": """
        cast: hero elder home
        let sound, from = a bell; the church | a dog barking; the farm | a saw; the mill | a hen;
          the hen house
        - {A} was walking home in a thick fog. / One autumn evening a fog came down while {A} was on
          the way home.
        - {He} could not see the path, or even {his} own shoes. / It was so thick that {he} walked
          into a sheep. "Sorry," said {A}.
        - "Hello?" {he} called, but nobody answered. / {He} turned left, and then left again, and
          soon {he} was lost.
        - {A} stood still and listened. / "If I cannot see, I can still listen," thought {A}.
        - Far away {he} heard {sound}. "That comes from {from}, near our house," {he} said. / Then
          {he} heard {sound}. It came from {from}, and {from} was near {his} house.
        - {He} walked towards it, slowly, step by step. / So {A} followed the sound, with {his}
          hands out in front.
        - Soon {he} saw a yellow light. It was {his} own window. / Then {he} bumped into something
          hard. It was {his} own door.
        - "How did you find the way?" asked {E}. "With my ears," said {A}. / {E} opened the door. "I
          heard you coming," {bhe} said. "I heard it too," said {A}.
        """,
    "ice": """
        cast: hero friend
        let taste = lemon | cherry | plum | honey | mint
        - It was the hottest day of the summer. / The sun was so hot that the dogs lay down in the
          shade.
        - {A} bought a {taste} ice cream and wanted to take it to {his} {rel} {B}. / {A} had
          {a_taste} ice cream for {B} in {his} hand.
        - {He} walked along the street, and it began to drip. / After ten steps it began to melt.
        -? Drip, drip! It ran over {his} fingers. / Drip, drip! It ran down {his} arm, and a bee
          came to look.
        - {A} ran, but the sun was faster. / {He} ran past the school and over the bridge.
        - When {he} came to {B}, there was only a puddle left. / "I have something for you," said
          {A}, but nothing was left to give.
        - "What is it?" asked {B}. "It was ice cream," said {A}. / "It was very good," said {A}
          sadly.
        - {B} laughed. "Next time I will come with you," {bhe} said. / So they went back together,
          and this time they ate in the shade of the shop. / {B} licked {a_taste} drop from {bhis}
          finger. "You are right," {bhe} said. "It was very good."
        """,
    "boat": """
        cast: when hero friend
        let heavy = stone | spoon | hammer
        let light = cork | leaf | feather
        -? @child
        - {When} {A} and {B} made a boat. / {When} {A} and {his} {rel} {B} sat by the pond and made
          a boat.
        - It had a sail of paper and a captain. The captain was {a_heavy}. / "It needs a captain,"
          said {A}, and put {a_heavy} in it.
        - They pushed it out onto the water. / {B} gave it a push, and off it went.
        - Glug, glug! It went down like a fish. / The boat tipped over and sank with a loud plop.
        - "Why did it sink?" asked {A}. "The captain is too heavy," said {B}. / "{A_heavy} is too
          heavy," said {B}. "We need something light."
        - {A} [fished out|pulled out] the boat and put {a_light} in it. / So they pulled it out, and
          the next captain was {a_light}.
        - This time it sailed across the pond, past a surprised duck. / Now it floated, and the wind
          blew it all the way to the other side.
        - "Well done, captain," said {A}. / The {heavy} stayed on land after that. / "Now let us
          sail to China," said {B}. But it was time for supper.
        """,
    "seeds": """
        cast: when hero elder seed
        -? @child
        - {When} {E} gave {A} {a_seed} seed. It was very small. / {When} {A} found {a_seed} seed in
          {his} pocket.
        - {A} put it in a pot, gave it water, and waited. / {A} planted it in the garden and gave it
          a cup of water.
        - After an hour {he} looked. Nothing had happened. / The next day {he} looked, but there was
          only earth.
        - "Is it broken?" asked {A}. "No," said {E}. "It is only slow." / "It does not work," said
          {A}. "Wait," said {E}. "Seeds need sun and water and time."
        - So {A} gave it water every day, and told it stories too. / Every day {A} gave it water,
          and the sun shone on it.
        - One morning there was a tiny green leaf. / Then a little green nose came out of the earth.
        - By the end of the summer it was {grew}. / It grew and grew, and in the end it was {grew}.
        - {Use}. / {A} kept one seed for the next year. / "What did you feed it?" asked {E}.
          "Stories," said {A}.
        """,
    "fishing": """
        cast: when hero elder supper
        let catch, use = boot; planted a flower in it | teapot; made tea in it | hat; gave it to the
          scarecrow | kettle; gave it to a bird for a nest | bucket; filled it with berries
        -? @child
        - {When} {A} and {E} went fishing. / {When} {E} took {A} to the river to catch a fish for
          supper.
        - They sat on a log, and nothing happened for a long time. / They waited and waited, and {E}
          almost fell asleep.
        -? "You must be very quiet," said {E}. "I am," said {A} loudly. / "What do fish say?" asked
          {A}. "They say, be quiet," said {E}.
        - Then the line gave a jump. / All at once something pulled at the line.
        - {A} pulled. {E} pulled. Out of the water came an old {catch}. / "It is a big one!" cried
          {A}, and they both pulled. It was an old {catch}.
        - "Can we eat it?" asked {A}. "Not even with salt," said {E}. / "That is a strange fish,"
          said {E}.
        - They had {supper} for supper that night. / So there was {supper} for supper and no fish at
          all.
        - But {A} kept the {catch} and {use}. / The next day {A} washed the {catch} and {use}.
        """,
    "echo": """
        cast: when hero friend
        let word = potato | pickle | cabbage | noodle
        - {When} {A} and {B} climbed up to the old cave. / {When} {A} and {his} {rel} {B} came to a
          cave in the side of the mountain.
        - "Hello!" called {A}. "Hello," said the cave. / {A} looked in. "Who is there?" {he} called.
          "Who is there?" asked the cave.
        - "Somebody lives in there!" said {A}, and held {B}'s hand. / {A} jumped back. "It is a
          giant!" {he} said.
        - "It is only an echo," said {B}. "Your own voice comes back from the wall." / "Call
          something nice," said {B}, "and it will be nice to you."
        - "Good morning!" called {A}. "Good morning," said the cave. / "I like you!" called {A}. "I
          like you," said the cave.
        -? Then {B} shouted, "{Word}!" and the cave said, "{Word}." / "{Word}!" shouted {B}.
          "{Word}," said the cave, very seriously.
        - They laughed, and the cave laughed too. / {B} laughed so much that {bhe} had to sit down.
          So did the cave, by the sound of it.
        - "Goodbye!" called {A}. "Goodbye," said the cave. / "It is very polite," said {A} on the
          way home. / "I think it was glad to see us," said {A}.
        """,
    "cart": """
        cast: when hero friend
        let load, joke = pumpkin; a small moon | rock; a sleeping cow | pumpkin; a bear | box of
          books; a whole school
        let who = the postman | the teacher | the baker | the farmer
        -? @child
        - {When} {A} had to bring a big {load} to {who}. / {When} {A} wanted to give a big {load} to
          {who}.
        - It was as heavy as {joke}. / {He} pushed it, but it was as heavy as {joke}.
        - {A} pulled. It did not move. {He} pushed. It did not move. / {He} could not lift it, not
          even with {his} eyes shut.
        - "May I help?" asked {B}. "Yes, please," said {A}. / {B} came by. "Two are stronger than
          one," {bhe} said.
        -? They pulled together, and it moved as far as the gate. / Together they moved it a little.
          "This will take a week," said {B}.
        - "We need wheels," said {A}, and fetched the old cart. / Then {A} had an idea. "The cart!"
          {he} said, and ran to get it.
        - Now it was easy. They rolled down the road, singing. / With wheels it was easy, and they
          only hit one fence.
        - "How did you carry that?" asked {who}. "We did not," said {A}. "We rolled it." / {A} gave
          {B} a ride home in the cart.
        """,
    "moonlight": """
        cast: hero elder
        let shape = a dog | a rabbit | a bird | a snail
        - One night the lights went out. / There was a storm, and all the lights in the house went
          out.
        - It was so dark that {A} could not see {his} own nose. / {A} bumped into a chair, and then
          into {E}.
        - {E} lit a candle and put it on the table. / "Do not move," said {E}, and lit a candle.
        - On the wall {A} saw a big black shape. "Who is that?" {he} asked. / Something dark moved
          on the wall. "What is it?" asked {A}.
        - "It is you," said {E}. "Wave to it." / "That is your shadow," said {E}. "It is only big
          because the candle is near."
        -? {A} waved, and the shadow waved back. / {A} jumped, and the shadow jumped too.
        - Then {E} held up {bhis} hands and made {shape}. / "Now look," said {E}, and made the
          shadow of {shape} with two hands.
        - {A} made a frog, and they told each other a story with shadows. / They played until the
          candle was short.
        - When the lights came on again, {A} was sorry. / "Can we turn off the lights tomorrow too?"
          asked {A}. / When the lights came on, {he} turned them off again.
        """,
    "late": """
        cast: weekday hero friend
        let first, next = a snail on the road; a cat in a window | a man on a roof; a very long worm
          | a duck with six ducklings; a hole in the road | a cow in a cart; a red balloon
        -? @child
        - {When} {A} was late for school. / {When} {A} came to school when the bell had already
          rung.
        - "Why are you so late?" asked the teacher. / "Where have you been?" asked the teacher.
        - "I had to look at {first}," said {A}. / "First I saw {first}," said {A}.
        - "And then?" asked the teacher. "Then I saw {next}," said {A}. / "Then there was {next},"
          {he} said, "and I had to stop again."
        - The teacher looked at the clock, and then out of the window. / The other children wanted
          to hear everything.
        - "Draw it for us on the board," said the teacher. / "Can you draw it?" asked the teacher.
          "Yes," said {A}, and took the chalk.
        - So {A} drew {first}, and everybody liked it. / {A} drew all of it on the board, and {B}
          clapped.
        - The next day {B} was late too. "I was looking for things to draw," {bhe} said. / The next
          day the whole class was late, and so was the teacher. / The next day {A} was early, with a
          new drawing.
        """,
}
